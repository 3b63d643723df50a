// The SMART App Launch client (npm: fhirclient) against a started server: node smart.cjs FOLDER BASE TOKEN
const assert = require("node:assert/strict");
const { patient, family } = require("./resources.cjs");

const [folder, serverUrl, token] = process.argv.slice(2);
const smart = require(`${folder}/node_modules/fhirclient`);
const request = { url: "/", headers: { host: "127.0.0.1" }, socket: {} };
const connect = (state) => smart(request, {}, {}).client({ serverUrl, ...state });

async function refused(status, words, promise) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.statusCode ?? error.status, status);
    assert.match(error.message, words);
    return true;
  });
}

async function main() {
  const client = connect({ tokenResponse: { access_token: token } });
  assert.equal(await client.getFhirVersion(), "4.0.1");
  assert.equal(await client.getFhirRelease(), 4);
  await refused(401, /token/i, connect({}).request("Patient/a"));

  const made = await client.create(patient("Jones", "j"));
  const read = await client.request({ url: `Patient/${made.id}`, includeResponse: true });
  assert.equal(read.response.headers.get("etag"), 'W/"1"');
  const headers = { "If-Match": 'W/"1"' };
  assert.equal((await client.update({ ...read.body, gender: "other" }, { headers })).meta.versionId, "2");
  await refused(412, /W\/"2"|version 2/, client.update({ ...read.body, gender: "male" }, { headers }));
  const patched = await client.patch(`Patient/${made.id}`, [{ op: "replace", path: "/gender", value: "male" }]);
  assert.deepEqual([patched.gender, patched.meta.versionId], ["male", "3"]);

  const transaction = { url: "", method: "POST", body: JSON.stringify(family(5)) };
  const done = await client.request({ ...transaction, headers: { "content-type": "application/json" } });
  assert.equal(done.entry.length, 6);
  const query = "Observation?subject:Patient.family=walker&_count=2";
  const all = await client.request(query, { pageLimit: 0, flat: true, resolveReferences: "subject" });
  assert.deepEqual(all.map((one) => one.subject.name[0].family), Array(5).fill("Walker"));
  const pages = await client.request(query, { pageLimit: 2 });
  assert.deepEqual(pages.map((page) => page.entry.length), [2, 2]);

  const xml = await client.request({ url: `Patient/${made.id}`, headers: { accept: "application/fhir+xml" } });
  assert.ok((await xml.text()).includes('<gender value="male"/>'));
  await refused(400, /famly/, client.request("Patient?famly=x"));
  await client.delete(`Patient/${made.id}`);
  await refused(410, /deleted/, client.request(`Patient/${made.id}`));
}

main().catch((error) => { console.error(error); process.exit(1); });
