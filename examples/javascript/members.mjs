// Records what an administrator did in a shop: node members.mjs FILE
// Names beyond ASCII, numbers that are no integers, and keys that sort otherwise by code point.

import { openLog } from "./audit_log.mjs";

const log = openLog(process.argv[2], { service: "shop" });
const common = {
  organizationId: "org_acme",
  actor: { type: "user", id: "u_1", email: "zoë@company.com", name: "Zoë 管理者" },
  ipAddress: "2001:db8::1",
  userAgent: "node",
  correlationId: "req_42",
};

log.record("member.invited", { ...common, targetUser: { email: "team@company.com" } });
log.record("member.role_changed", {
  ...common,
  targetUser: { email: "team@company.com", name: "“Ünï”\t\u2028\u0007" },
  context: { previous: { role: "member" }, new: { role: "admin" } },
});
log.record("member.seat_changed", {
  ...common,
  resource: { type: "seat", id: "seat_7" },
  context: {
    numbers: [0.1, -0, 1e21, 1e-7, 123456.789, 5e-324, 1.7976931348623157e308, 9007199254740992],
    // By code point 😀 (U+1F600) sorts last; by UTF-16 code units it stands before U+FB33.
    "\u{1F600}": "D83D DE00",
    "\u{FB33}": "FB33",
    "\u20AC": "20AC",
    nested: { list: [null, true, { "\u{10FFFF}": 1, "\uE000": 2 }] },
  },
});
log.record("member.offboarded", { ...common, actor: { type: "system" }, result: "denied" });
