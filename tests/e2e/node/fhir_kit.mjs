// fhir-kit-client against a started server: node fhir_kit.mjs FOLDER BASE TOKEN
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, baseUrl, token] = process.argv.slice(2);
const { Client } = await import(pathToFileURL(`${folder}/node_modules/fhir-kit-client/dist/client.js`));
const { patient, family } = createRequire(import.meta.url)("./resources.cjs");

const client = new Client({ baseUrl });
assert.equal((await client.capabilityStatement()).fhirVersion, "4.0.1");
const refused = async (status, code, promise) => assert.rejects(promise, (error) => {
  assert.equal(error.response.status, status);
  assert.equal(error.response.data.resourceType, "OperationOutcome");
  assert.equal(error.response.data.issue[0].code, code);
  return true;
});
await refused(401, "login", client.read({ resourceType: "Patient", id: "a" }));
client.bearerToken = token;

const made = await client.create({ resourceType: "Patient", body: patient("Jones", "j") });
const { id } = made;
assert.equal(Client.httpFor(made).response.headers.get("etag"), 'W/"1"');
const body = { ...(await client.read({ resourceType: "Patient", id })), gender: "other" };
const options = { headers: { "If-Match": 'W/"1"' } };
const updated = await client.update({ resourceType: "Patient", id, body, options });
assert.equal(updated.meta.versionId, "2");
await refused(412, "conflict", client.update({ resourceType: "Patient", id, body, options }));
const jsonPatch = [{ op: "replace", path: "/gender", value: "male" }, { op: "add", path: "/active", value: true }];
const patched = await client.patch({ resourceType: "Patient", id, jsonPatch });
assert.deepEqual([patched.gender, patched.active, patched.meta.versionId], ["male", true, "3"]);
assert.equal((await client.vread({ resourceType: "Patient", id, version: "1" })).gender, "female");
assert.equal((await client.resourceHistory({ resourceType: "Patient", id })).total, 3);
const searchParams = { identifier: "http://example.org/mrn|j" };
const conditional = await client.update({ resourceType: "Patient", searchParams, body: { ...patched, active: false } });
assert.equal(conditional.meta.versionId, "4");

assert.equal((await client.transaction({ body: family(5) })).entry.length, 6);
for (const postSearch of [false, true]) {
  let page = await client.search({
    resourceType: "Observation", searchParams: { "subject:Patient.family": "walker", _count: 2 }, options: { postSearch },
  });
  const sizes = [];
  for (; page; page = await client.nextPage({ bundle: page })) sizes.push(page.entry.length);
  assert.deepEqual(sizes, [2, 2, 1]);
}
const walker = (await client.search({ resourceType: "Patient", searchParams: { family: "walker" } })).entry[0].resource;
const compartment = { resourceType: "Patient", id: walker.id };
assert.equal((await client.search({ resourceType: "Observation", compartment })).entry.length, 5);
const everything = await client.operation({ name: "everything", resourceType: "Patient", id: walker.id, method: "GET" });
assert.equal(everything.entry.length, 6);
const batch = { resourceType: "Bundle", type: "batch", entry: [{ request: { method: "GET", url: `Patient/${id}` } }] };
assert.equal((await client.batch({ body: batch })).entry[0].response.status.slice(0, 3), "200");
const observation = everything.entry.find((row) => row.resource.resourceType === "Observation").resource;
assert.equal((await client.resolve({ reference: observation.subject.reference })).id, walker.id);

await refused(400, "invalid", client.search({ resourceType: "Patient", searchParams: { famly: "x" } }));
// Its reader knows JSON alone: XML arrives as text in an error with the status of the answer.
await assert.rejects(client.request(`Patient/${id}`, { options: { headers: { Accept: "application/fhir+xml" } } }),
  (error) => error.response.status === 200 && error.response.data.includes('<gender value="male"/>'));
await client.delete({ resourceType: "Patient", id });
await refused(410, "deleted", client.read({ resourceType: "Patient", id }));
