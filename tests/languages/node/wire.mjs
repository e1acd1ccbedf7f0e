// Both ends of the wire: publishes with confirms, hears events on a queue of its own and replies on another.

import { randomUUID } from "node:crypto";
import amqp from "amqplib";
import { slot } from "./slots.mjs";

const DEADLINE_MS = 60_000;
const CONTENT_TYPE = "application/cloudevents+json";

export class Wire {
  #channel;
  #replyTo;
  #replies = [];
  #events = [];
  #looking = new Set();

  static async connected(url) {
    const wire = new Wire();
    const connection = await amqp.connect(url);
    wire.#channel = await connection.createConfirmChannel();
    wire.#channel.on("return", (message) => wire.#fail(`returned: ${message.fields.routingKey}`));
    connection.on("error", (error) => wire.#fail(error.message));
    wire.close = () => connection.close();
    wire.#replyTo = await wire.#hear(wire.#replies);
    await wire.#hear(wire.#events, "heroes.events", "hero.#");
    return wire;
  }

  // One command: confirmed by the broker, answered on the reply queue, and its `count` events heard.
  async send(type, data, { key, count = 1, id = randomUUID() } = {}) {
    const envelope = { specversion: "1.0", id, source: "/node", type, time: new Date().toISOString(), data };
    const routingKey = slot(key ?? id);
    const correlationId = await this.#publish("heroes.commands", routingKey, envelope);
    const reply = await this.#reply(correlationId);
    const told = () => this.#events.filter((one) => one.body.causationid === id);
    await this.#until(() => told().length >= count, `${count} events of ${id}`);
    return { sent: type, id, routingKey, reply: reply.body, events: told().map((one) => one.body) };
  }

  async ask(type, data) {
    const envelope = { specversion: "1.0", id: randomUUID(), source: "/node", type, data };
    const correlationId = await this.#publish("heroes.queries", type, envelope);
    const reply = await this.#reply(correlationId);
    return { sent: type, id: envelope.id, routingKey: type, reply: reply.body, events: [] };
  }

  async #publish(exchange, routingKey, envelope) {
    const correlationId = randomUUID();
    const properties = { contentType: CONTENT_TYPE, persistent: true, mandatory: true };
    const answered = { replyTo: this.#replyTo, correlationId };
    await new Promise((resolve, reject) => {
      const body = Buffer.from(JSON.stringify(envelope));
      const confirmed = (error) => (error ? reject(error) : resolve());
      this.#channel.publish(exchange, routingKey, body, { ...properties, ...answered }, confirmed);
    });
    return correlationId;
  }

  async #hear(kept, exchange, pattern) {
    const { queue } = await this.#channel.assertQueue("", { exclusive: true });
    if (exchange) {
      await this.#channel.bindQueue(queue, exchange, pattern);
    }
    const keep = ({ content, properties }) => {
      kept.push({ body: JSON.parse(content.toString()), correlationId: properties.correlationId });
      this.#looking.forEach((look) => look());
    };
    await this.#channel.consume(queue, keep, { noAck: true });
    return queue;
  }

  async #reply(correlationId) {
    const found = () => this.#replies.find((one) => one.correlationId === correlationId);
    await this.#until(() => found() !== undefined, `a reply to ${correlationId}`);
    return found();
  }

  #until(condition, what) {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => done(() => reject(new Error(`waited in vain for ${what}`))), DEADLINE_MS);
      const look = () => condition() && done(resolve);
      const done = (settle) => {
        clearTimeout(late);
        this.#looking.delete(look);
        settle();
      };
      this.#looking.add(look);
      look();
    });
  }

  #fail(reason) {
    console.error(reason);
    process.exit(1);
  }
}
