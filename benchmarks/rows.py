"""The SQL of the arena: what a round left in the tables, and what stands there before it.

Invariant: rows from before the first round are a day old, and every count is of younger ones.
"""

RECENT = "> now() - interval '12 hours'"
LEFT = (
    f"SELECT (SELECT count(*) FROM hero WHERE created_at {RECENT}) AS heroes, count(*) AS inbox,"  # noqa: S608 - all ours
    " count(published_at) AS published, count(*) FILTER (WHERE outcome = 'applied') AS applied"
    f" FROM inbox WHERE handled_at {RECENT}"
)
RECORDED = f"SELECT count(*) FROM inbox WHERE handled_at {RECENT}"  # noqa: S608 - all ours
EVENT_IDS = f"SELECT json_array_elements(events)->>'id' AS id FROM inbox WHERE handled_at {RECENT}"  # noqa: S608 - all ours
_HERO = "'Hero ' || n, 'Secret ' || n, n % 100"
SEED = f"INSERT INTO hero (name, secret_name, age) SELECT {_HERO} FROM generate_series(1, $1::int) AS n"  # noqa: S608 - all ours
OLD_HEROES = (
    "INSERT INTO hero (name, secret_name, age, created_at, updated_at)"  # noqa: S608 - all ours
    f" SELECT {_HERO}, now() - interval '1 day', now() - interval '1 day' FROM generate_series(1, $1::int) AS n"
)
OLD_INBOX = (
    "INSERT INTO inbox (command_id, command_type, fingerprint, outcome, events, handled_at, published_at)"
    " SELECT gen_random_uuid(), 'hero.create', sha256(n::text::bytea), 'applied',"
    " json_build_array(json_build_object('id', gen_random_uuid(), 'filler', repeat('x', 500))),"
    " now() - interval '1 day', now() - interval '1 day' FROM generate_series(1, $1::int) AS n"
)
