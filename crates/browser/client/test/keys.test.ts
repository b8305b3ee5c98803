//! Keys that stand twice, and those that may.

import { expect, it } from "vitest";
import { repeatedKey } from "../src/keys.js";

it.each([
  ['{"a":1,"b":{"a":1}}', null],
  ['{"a":1,"a":2}', "a"],
  ['{"a":[{"b":1},{"b":2}]}', null],
  ['{"a":[{"b":1,"b":2}]}', "b"],
  ['{"data":{"a":1,"a":2},"c":1}', null],
  ['{"data":[{"a":1,"a":2}],"a":1}', null],
  ['{"data":{"x":{"a":[]},"a":2,"a":1},"c":1,"c":2}', "c"],
  ['{"data":5,"c":{"d":1,"d":2}}', "d"],
  ['{"data":"text","c":{"d":1,"d":2}}', "d"],
  ['{"data":null,"x":[{"d":1,"d":2}]}', "d"],
  ['{"data":1,"data":2}', "data"],
  ['{"a":"a\\"b\\":1,","a\\\\":1}', null],
  ['{"\\u0061":1,"a":2}', "a"],
  ['{ "a" :\n1, "a"\t: 2}', "a"],
  ['{"a":"data","c":{"d":1,"d":2}}', "d"],
  ['{"":1,"":2}', ""],
])("%s: %s", (text, key) => {
  JSON.parse(text);
  expect(repeatedKey(text, "data")).toBe(key);
});

it("takes a frame of a megabyte with many backslashes", () => {
  const text = JSON.stringify({ a: '\\"'.repeat(300_000), data: { b: "x".repeat(1_000_000) }, c: 1 });
  expect(repeatedKey(text, "data")).toBe(null);
});
