"""Full URLs of entries that are not stored yet: https://hl7.org/fhir/R4/bundle.html#references"""

P = "urn:uuid:11111111-1111-1111-1111-111111111111"
E = "urn:uuid:22222222-2222-2222-2222-222222222222"
O = "urn:uuid:33333333-3333-3333-3333-333333333333"  # noqa: E741
