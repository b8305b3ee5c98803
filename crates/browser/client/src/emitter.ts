//! Handlers by type. One that throws never keeps the others, or the SDK, from going on.

export class Emitter<M> {
  readonly #handlers = new Map<keyof M, Set<(value: never) => void>>();

  /** Calls `handler` with each value of this type. Returns what ends that. */
  on<T extends keyof M>(type: T, handler: (value: M[T]) => void): () => void {
    const handlers = this.#handlers.get(type) ?? new Set();
    this.#handlers.set(type, handlers.add(handler));
    return () => handlers.delete(handler);
  }

  /** For the class itself. @internal */
  protected emit<T extends keyof M>(type: T, value: M[T]): void {
    for (const handler of [...(this.#handlers.get(type) ?? [])]) {
      guard(() => (handler as (value: M[T]) => void)(value));
    }
  }
}

/** Runs what belongs to the application. What it throws goes where uncaught errors go. */
export const guard = (run: () => void): void => {
  try {
    run();
  } catch (error) {
    (globalThis.reportError ?? console.error)(error);
  }
};
