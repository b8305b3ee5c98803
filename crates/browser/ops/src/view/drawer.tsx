//! What was picked, beside the list that it was picked from. It takes the focus when it opens, and gives it back.

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Icon } from "./icon.js";

interface DrawerProps {
  readonly title: ComponentChildren;
  readonly kind: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}

export const Drawer = ({ title, kind, onClose, children }: DrawerProps) => {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    heading.current?.focus();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <aside class="drawer" aria-labelledby="drawer-title">
      <div class="drawer-head">
        <div>
          <p class="drawer-kind">{kind}</p>
          <h2 id="drawer-title" tabIndex={-1} ref={heading}>
            {title}
          </h2>
        </div>
        <button type="button" class="quiet" aria-label="Close" title="Close (Esc)" onClick={onClose}>
          <Icon name="close" />
        </button>
      </div>
      <div class="drawer-body">{children}</div>
    </aside>
  );
};

/** Names and figures, one under the other. */
export const Facts = ({
  facts,
}: {
  facts: readonly (readonly [name: string, value: ComponentChildren])[];
}) => (
  <dl class="facts">
    {facts.map(([name, value]) => (
      <div key={name}>
        <dt>{name}</dt>
        <dd>{value}</dd>
      </div>
    ))}
  </dl>
);
