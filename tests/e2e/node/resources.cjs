// Resources that both clients send.
const patient = (family, identifier) => ({
  resourceType: "Patient",
  identifier: [{ system: "http://example.org/mrn", value: identifier }],
  name: [{ family, given: ["Anna"] }],
  gender: "female",
  birthDate: "1970-05-01",
});

const observation = (reference, value) => ({
  resourceType: "Observation",
  status: "final",
  code: { coding: [{ system: "http://loinc.org", code: "8867-4" }] },
  subject: { reference },
  valueQuantity: { value, unit: "/min", system: "http://unitsofmeasure.org", code: "/min" },
});

/** A transaction: one patient and some observations of them. */
function family(members) {
  const fullUrl = "urn:uuid:6b1a4a2c-6a3f-4d0e-8c9c-0f3b6f0f7f11";
  const walker = { fullUrl, resource: patient("Walker", "w"), request: { method: "POST", url: "Patient" } };
  const observed = (n) => ({ resource: observation(fullUrl, 60 + n), request: { method: "POST", url: "Observation" } });
  return { resourceType: "Bundle", type: "transaction", entry: [walker, ...Array.from({ length: members }, (_, n) => observed(n))] };
}

module.exports = { patient, observation, family };
