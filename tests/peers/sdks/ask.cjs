// Asks the vendors' SDKs of npm. In: one question for each line of standard input, `{sdk, ask, secret, body, headers, url,
// now}`. Out: one line for each, the headers that an SDK signs with (`ask: "sign"`), or whether it takes a request (`"check"`).
// The first argument is the folder with node_modules.
"use strict";

const crypto = require("node:crypto");
const path = require("node:path");
const readline = require("node:readline");
const { createRequire } = require("node:module");

const folder = path.resolve(process.argv[2]);
const installed = createRequire(path.join(folder, "package.json"));
// It is a module, which a script finds only by its file.
const octokit = () => import(path.join(folder, "node_modules/@octokit/webhooks-methods/dist-node/index.js"));

const stripe = installed("stripe");
const twilio = installed("twilio");
const slack = installed("@slack/bolt/dist/receivers/verify-request.js");
const hubspot = installed("@hubspot/api-client").Signature;
const square = installed("square").WebhooksHelper;
const razorpay = installed("razorpay");
const workos = new (installed("@workos-inc/node").WorkOS)("sk_test").webhooks;
const paddle = new (installed("@paddle/paddle-node-sdk").Paddle)("key").webhooks;
const line = installed("@line/bot-sdk");
const discord = installed("discord-interactions");
const contentful = installed("@contentful/node-apps-toolkit");
const sendgrid = new (installed("@sendgrid/eventwebhook").EventWebhook)();
const adyen = new (installed("@adyen/api-library").hmacValidator)();
installed("@shopify/shopify-api/adapters/node");
const { shopifyApi } = installed("@shopify/shopify-api");

const standard = (kind, prefix) => ({
  sign: ({ secret, body, now }) => ({
    [`${prefix}-id`]: "msg_1",
    [`${prefix}-timestamp`]: String(now),
    [`${prefix}-signature`]: new kind(secret).sign("msg_1", new Date(now * 1000), body),
  }),
  check: ({ secret, body, headers }) => new kind(secret).verify(body, headers),
});

// Fields of a form as Twilio's SDK wants them.
const fields = (body) => Object.fromEntries(new URLSearchParams(body));
// What the SDK of Contentful calls a request.
const canonical = ({ url, body, headers }) => ({ method: "POST", path: url.slice(url.indexOf("/", 8)), headers, body });
const item = (body) => JSON.parse(body).notificationItems[0].NotificationRequestItem;
const hubspotOptions = ({ secret, body, url }, timestamp) => ({
  clientSecret: secret, requestBody: body, url, method: "POST", signatureVersion: "v3", timestamp,
});

const SDKS = {
  stripe: {
    sign: ({ secret, body, now }) => ({
      "stripe-signature": stripe.webhooks.generateTestHeaderString({ payload: body, secret, timestamp: now }),
    }),
    check: ({ secret, body, headers }) => stripe.webhooks.constructEvent(body, headers["stripe-signature"], secret),
  },
  svix: standard(installed("svix").Webhook, "svix"),
  "standard-webhooks": standard(installed("standardwebhooks").Webhook, "webhook"),
  github: {
    sign: async ({ secret, body }) => ({ "x-hub-signature-256": await (await octokit()).sign(secret, body) }),
    check: async ({ secret, body, headers }) => (await octokit()).verify(secret, body, headers["x-hub-signature-256"]),
  },
  slack: {
    check: ({ secret, body, headers }) =>
      slack.isValidSlackRequest({
        signingSecret: secret,
        body,
        headers: { ...headers, "x-slack-request-timestamp": Number(headers["x-slack-request-timestamp"]) },
      }),
  },
  twilio: {
    sign: ({ secret, body, url }) => ({
      "x-twilio-signature": twilio.getExpectedTwilioSignature(secret, url, fields(body)),
    }),
    check: ({ secret, body, headers, url }) =>
      twilio.validateRequest(secret, headers["x-twilio-signature"], url, fields(body)),
  },
  shopify: {
    check: async ({ secret, body, headers }) => {
      const options = { apiKey: "key", apiSecretKey: secret, hostName: "app.example.com", apiVersion: "2025-01" };
      const shop = shopifyApi({ ...options, isEmbeddedApp: false, logger: { log: () => {} } });
      const beside = {
        "x-shopify-topic": "orders/create", "x-shopify-shop-domain": "shop.myshopify.com",
        "x-shopify-api-version": "2025-01", "x-shopify-webhook-id": "1",
      };
      const rawRequest = { method: "POST", url: "/hooks", headers: { ...beside, ...headers } };
      return (await shop.webhooks.validate({ rawBody: body, rawRequest, rawResponse: {} })).valid;
    },
  },
  hubspot: {
    sign: (asked) => ({
      "x-hubspot-request-timestamp": String(asked.now * 1000),
      "x-hubspot-signature-v3": hubspot.getSignature("POST", "v3", hubspotOptions(asked, asked.now * 1000)),
    }),
    check: (asked) =>
      hubspot.isValid({
        ...hubspotOptions(asked, Number(asked.headers["x-hubspot-request-timestamp"])),
        signature: asked.headers["x-hubspot-signature-v3"],
      }),
  },
  square: {
    check: ({ secret, body, headers, url }) =>
      square.verifySignature({
        requestBody: body, signatureHeader: headers["x-square-hmacsha256-signature"], signatureKey: secret,
        notificationUrl: url,
      }),
  },
  razorpay: {
    check: ({ secret, body, headers }) =>
      razorpay.validateWebhookSignature(body, headers["x-razorpay-signature"], secret),
  },
  workos: {
    sign: async ({ secret, body, now }) => {
      const tag = await workos.computeSignature(now * 1000, JSON.parse(body), secret);
      return { "workos-signature": `t=${now * 1000}, v1=${tag}` };
    },
    check: ({ secret, body, headers }) =>
      workos.verifyHeader({ payload: JSON.parse(body), sigHeader: headers["workos-signature"], secret }),
  },
  paddle: {
    check: ({ secret, body, headers }) => paddle.isSignatureValid(body, secret, headers["paddle-signature"]),
  },
  line: {
    check: ({ secret, body, headers }) => line.validateSignature(body, secret, headers["x-line-signature"]),
  },
  discord: {
    check: ({ secret, body, headers }) =>
      discord.verifyKey(body, headers["x-signature-ed25519"], headers["x-signature-timestamp"], secret),
  },
  contentful: {
    sign: (asked) => contentful.signRequest(asked.secret, canonical({ headers: {}, ...asked }), asked.now * 1000),
    check: (asked) => contentful.verifyRequest(asked.secret, canonical(asked), 300),
  },
  sendgrid: {
    check: ({ secret, body, headers }) =>
      sendgrid.verifySignature(
        sendgrid.convertPublicKeyToECDSA(secret), body, headers["x-twilio-email-event-webhook-signature"],
        headers["x-twilio-email-event-webhook-timestamp"],
      ),
  },
  adyen: {
    check: ({ secret, body }) => adyen.validateHMAC(item(body), secret),
  },
};

// Two pairs of keys of a kind: private as PEM, public as the provider shows it.
function keys(kind) {
  const made = kind === "ed25519" ? crypto.generateKeyPairSync("ed25519") : crypto.generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = made.publicKey.export({ type: "spki", format: "der" });
  const shown = kind === "ed25519" ? spki.subarray(-32).toString("hex") : spki.toString("base64");
  return [made.privateKey.export({ type: "pkcs8", format: "pem" }), shown];
}

async function answer(asked) {
  if (asked.ask === "sdks") return Object.entries(SDKS).map(([name, sdk]) => [name, Object.keys(sdk)]);
  if (asked.ask === "keys") return keys(asked.kind);
  const done = SDKS[asked.sdk][asked.ask];
  if (asked.ask === "sign") return await done(asked);
  try {
    return (await done(asked)) !== false;
  } catch {
    return false;
  }
}

(async () => {
  for await (const text of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(JSON.stringify(await answer(JSON.parse(text))) + "\n");
  }
})();
