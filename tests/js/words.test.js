import assert from "node:assert/strict";
import {
  ageText,
  dollars,
  hourly,
  percent,
  span,
  UNDER_A_CENT,
  usd,
} from "../../vastnb/widgets/kit/words.js";

Deno.test("a price that is not nothing is never shown as nothing", () => {
  assert.equal(usd(0.004), UNDER_A_CENT);
  assert.equal(dollars(0.004), UNDER_A_CENT);
  assert.equal(hourly(0.004), `${UNDER_A_CENT}/h`);
  assert.equal(usd(0), "$0.000");
});

Deno.test("cents matter where machines cost cents, and not where they cost hundreds", () => {
  assert.equal(usd(0.0312), "$0.0312");
  assert.equal(usd(0.2314), "$0.231");
  assert.equal(usd(1234.5), "$1,234.50");
  assert.equal(hourly(0.2314), "$0.231/h");
  assert.equal(hourly(12.3), "$12.30/h");
});

Deno.test("what is unknown is a dash", () => {
  assert.equal(usd(NaN), "–");
  assert.equal(hourly(null), "–");
  assert.equal(dollars(undefined), "–");
  assert.equal(percent(NaN), "–");
});

Deno.test("a share is never rounded up to a promise", () => {
  assert.equal(percent(0.9996), "99.9");
  assert.equal(percent(0.99999, 2), "99.99");
  assert.equal(percent(1), "100");
});

Deno.test("spans and ages change units where one would", () => {
  assert.equal(span(89), "89 s");
  assert.equal(span(90), "2 min");
  assert.equal(span(3600 * 5 + 60 * 7), "5 h 7 min");
  assert.equal(span(3600 * 3), "3 h");
  assert.equal(span(86400 * 3 + 3600), "3 d 1 h");
  assert.equal(span(-5), "0 s");
  assert.equal(ageText(1), "just now");
  assert.equal(ageText(7200), "2 h old");
  assert.equal(ageText(86400 * 4), "4 days old");
});
