//! Writes frames to the server.

import type { ClientFrame } from "./frame.js";

/** One frame as text, its fields in the order in which they were put there. Fields that are undefined are left out. */
export const encode = (frame: ClientFrame): string => JSON.stringify(frame);
