import assert from "node:assert/strict";

// The page, as far as a pace asks of it, and a clock that is moved by hand.
const page = { visible: true, now: 1000, looked: null };
globalThis.performance.now = () => page.now;
Object.assign(globalThis, {
  document: {
    get visibilityState() {
      return page.visible ? "visible" : "hidden";
    },
    addEventListener() {},
  },
  IntersectionObserver: class {
    constructor(tell) {
      page.looked = tell;
    }
    observe() {}
    disconnect() {}
  },
});
const { Pace } = await import("../../vastnb/widgets/kit/pace.js");

const answer = (next, asking = false) => ({ type: "pace", next_in: next, asking, paused: false, error: "" });

function begin(hooks = {}) {
  page.visible = true;
  const asked = [];
  const stop = new AbortController();
  const pace = new Pace({ isConnected: true }, stop.signal, {
    ask: (atOnce) => asked.push(atOnce),
    ...hooks,
  });
  const later = (seconds) => {
    page.now += seconds * 1000;
    pace.tick();
  };
  page.looked([{ isIntersecting: true }]);
  return { pace, asked, later, end: () => stop.abort() };
}

Deno.test("a question is asked once, and again only when the time that the kernel named has come", () => {
  const { pace, asked, later, end } = begin();
  assert.deepEqual(asked, [false]);
  later(5);
  assert.equal(asked.length, 1);
  pace.answered(answer(10));
  later(9);
  assert.equal(asked.length, 1);
  later(2);
  assert.equal(asked.length, 2);
  end();
});

Deno.test("nothing is asked while nobody can see it, or while it is paused", () => {
  const { pace, asked, later, end } = begin();
  pace.answered(answer(1));
  page.visible = false;
  later(60);
  assert.equal(asked.length, 1);
  page.visible = true;
  pace.pause();
  later(60);
  assert.equal(asked.length, 1);
  pace.resume();
  assert.equal(asked.length, 2);
  end();
});

Deno.test("a kernel without a sign is busy, until it gives one", () => {
  const waits = [];
  const { pace, asked, later, end } = begin({ onWaiting: (seconds) => waits.push(seconds > 0) });
  later(2);
  assert.deepEqual(waits, [true]);
  pace.answered(answer(0, true));
  assert.deepEqual(waits, [true, false]);
  assert.ok(pace.asking);
  later(100);
  assert.equal(asked.length, 1);
  later(30);
  assert.equal(asked.length, 2);
  end();
});

Deno.test("without a kernel nothing is asked, unless it speaks again", () => {
  let lost = 0;
  const { pace, asked, later, end } = begin({ onLost: () => (lost += 1) });
  pace.lose();
  later(500);
  assert.deepEqual([lost, asked.length], [1, 1]);
  pace.answered(answer(0));
  later(1);
  assert.equal(asked.length, 2);
  end();
});
