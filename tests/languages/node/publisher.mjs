// A publisher written from docs/wire.md alone: AMQP_URL is all that it is told. Prints one JSON line per finding.

import { Wire } from "./wire.mjs";

const wire = await Wire.connected(process.env.AMQP_URL);
const show = (finding) => {
  console.log(JSON.stringify(finding));
  return finding;
};
const idOf = (event) => event.subject; // text: an id beyond 2^53 is no number of ours

const created = show(await wire.send("hero.create", { name: "Node", secret_name: "V8", age: 15 }));
const hero = idOf(created.events[0]);
const on = (data) => ({ hero_id: Number(hero), ...data });

show(await wire.send("hero.update", on({ changes: { age: null }, expected_version: 1 }), { key: hero }));
const operations = [
  { op: "create", name: "Libuv", secret_name: "loop", age: 14 },
  { op: "update", ...on({ changes: { name: "Node.js" }, expected_version: 2 }) },
  { op: "update", ...on({ changes: { age: 16 } }) },
];
show(await wire.send("hero.batch", { operations }, { count: 3 }));
const impossible = [{ op: "create", name: "Never", secret_name: "is" }, { op: "delete", ...on({ expected_version: 1 }) }];
show(await wire.send("hero.batch", { operations: impossible }));
show(await wire.ask("hero.get", { hero_id: Number(hero) }));
show(await wire.ask("hero.list", { name: "Libuv" }));
show(await wire.send("hero.delete", on({}), { key: hero }));
show(await wire.ask("hero.get", { hero_id: Number(hero) }));
show(await wire.send("hero.create", { name: "Node", secret_name: "V8", age: 15 }, { id: created.id }));
await wire.close();
