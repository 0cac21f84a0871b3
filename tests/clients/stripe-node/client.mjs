import Stripe from 'stripe';

// client is Stripe's client with another base URL.
export function client({url}, key) {
  const {hostname, port} = new URL(url);
  return new Stripe(key, {host: hostname, port, protocol: 'http', maxNetworkRetries: 0, telemetry: false});
}
