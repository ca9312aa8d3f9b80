// The page sets the pace. One timer asks the kernel for a fresh picture, and only while somebody
// can see the widget, nothing is pending and the time that the kernel named has come. A question
// is asked once: what a busy kernel has not answered is waited for, so nothing piles up there.

const TICK_MS = 500;
// Seconds without any sign after which the kernel is taken to be busy.
const PATIENCE = 1.5;
// Seconds after which a question that was never answered is put again; longer each time.
const AGAIN = 120;

export class Pace {
  // `ask(atOnce)` sends the question. `onWaiting(seconds)` is told for how long the kernel has
  // given no sign, and 0 when it has. `onLost()` is called when there is no kernel to ask.
  // `onTick()` runs with the timer, for lines that count.
  constructor(root, signal, { ask, onWaiting = (_seconds) => {}, onLost = () => {}, onTick = () => {} }) {
    this.tell = { ask, onWaiting, onLost, onTick };
    this.root = root;
    this.due = 0;
    this.pending = null;
    this.again = AGAIN;
    this.waiting = false;
    this.paused = false;
    this.lost = false;
    this.inView = false;
    const timer = setInterval(() => this.tick(), TICK_MS);
    const observer = new IntersectionObserver((entries) => {
      this.inView = entries[entries.length - 1].isIntersecting;
      this.tick();
    });
    observer.observe(root);
    document.addEventListener("visibilitychange", () => this.tick(), { signal });
    signal.addEventListener("abort", () => {
      clearInterval(timer);
      observer.disconnect();
    });
  }

  static clock() {
    return performance.now() / 1000;
  }

  get visible() {
    return document.visibilityState === "visible" && this.inView && this.root.isConnected;
  }

  // Seconds until the next question; 0 if one is due or under way.
  get left() {
    return this.pending ? 0 : Math.max(0, this.due - Pace.clock());
  }

  // Whether the kernel is at it: it has heard the question and asks the service.
  get asking() {
    return Boolean(this.pending?.heard);
  }

  tick() {
    if (this.lost) return;
    const now = Pace.clock();
    const { pending } = this;
    if (pending) {
      const waited = now - pending.at;
      if (!pending.heard && waited >= PATIENCE) {
        this.waiting = true;
        this.tell.onWaiting(waited);
      }
      if (waited >= this.again && this.visible) {
        this.again *= 2;
        this.send(false);
      }
    } else if (!this.paused && this.visible && now >= this.due) this.send(false);
    this.tell.onTick();
  }

  send(atOnce) {
    this.pending = { at: Pace.clock(), heard: false };
    try {
      this.tell.ask(atOnce);
    } catch {
      this.lose();
    }
  }

  // The kernel has spoken: it asks the service (`asking`), or says in how many seconds to ask again.
  /** @param {import("./messages.d.ts").Pace} message */
  answered({ next_in: nextIn, asking = false }) {
    this.lost = false;
    if (asking) {
      this.pending ??= { at: Pace.clock(), heard: true };
      this.pending.heard = true;
    } else {
      this.pending = null;
      this.due = Pace.clock() + Math.max(0.2, nextIn);
      this.again = AGAIN;
    }
    if (this.waiting) {
      this.waiting = false;
      this.tell.onWaiting(0);
    }
    this.tell.onTick();
  }

  // Asks at once, because somebody wants it.
  now() {
    if (this.lost || this.pending) return;
    this.send(true);
    this.tell.onTick();
  }

  pause() {
    this.paused = true;
    this.tell.onTick();
  }

  resume() {
    this.paused = false;
    this.tick();
  }

  // There is no kernel behind the widget: nothing is asked, unless it speaks again.
  lose() {
    if (this.lost) return;
    this.lost = true;
    this.pending = null;
    this.tell.onLost();
  }
}
