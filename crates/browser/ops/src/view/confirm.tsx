//! Asks before anything is done to somebody. Escape and Cancel do nothing; the button says what it does.

import { useLayoutEffect, useRef } from "preact/hooks";
import type { Page } from "../page.js";

export const Confirm = ({ page }: { page: Page }) => {
  const dialog = useRef<HTMLDialogElement>(null);
  const confirming = page.confirming.value;
  const isOpen = confirming !== null;
  useLayoutEffect(() => {
    if (isOpen) dialog.current?.showModal();
    else dialog.current?.close();
  }, [isOpen]);
  const cancel = () => {
    page.confirming.value = null;
  };
  return (
    <dialog
      ref={dialog}
      class="confirm"
      aria-labelledby="confirm-title"
      aria-describedby="confirm-text"
      onClose={cancel}
    >
      <h2 id="confirm-title">{confirming?.title}</h2>
      <p id="confirm-text">{confirming?.text}</p>
      <div class="confirm-buttons">
        <button type="button" onClick={cancel}>
          Cancel
        </button>
        <button type="button" class="danger" onClick={() => confirming && page.carryOut(confirming)}>
          {confirming?.verb}
        </button>
      </div>
    </dialog>
  );
};
