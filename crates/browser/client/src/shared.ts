//! One client per page and gateway, for components that do not know each other.

import { Client } from "./client.js";
import type { ClientOptions } from "./options.js";

// Bounded by the gateways that a page names.
const clients = new Map<string, Client>();

/** The page's client for this gateway. The options are those of whoever comes first. */
export const sharedClient = (url = "", options: ClientOptions = {}): Client => {
  const client = clients.get(url) ?? new Client(url, options);
  clients.set(url, client);
  return client;
};
