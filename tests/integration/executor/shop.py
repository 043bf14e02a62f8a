"""A small database with one of everything that a dump can get wrong, and its comparison."""

from __future__ import annotations

from services.cli.demo.compare import Postgres as Compared
from tests.support.postgres import Postgres

SHOP = """
create schema "my shop";
create type "my shop".state as enum ('new', 'paid', 'it''s back');
create sequence "my shop".numbers start 1000 increment 7;
create table "my shop".customers (
    id bigint primary key, name text, tags text[], prefs jsonb, credit numeric(12, 4),
    picture bytea, joined timestamptz, t text);
insert into "my shop".customers
    select i, case when i % 7 = 0 then null else 'Zoë ☃ ' || i || E'\\t\\\\ "\\n' end,
        array['a', null, i::text], jsonb_build_object('n', i, 'x', null), i * 1.2345,
        sha256(i::text::bytea), timestamptz '2024-03-31 01:30+00' + i * interval '1 hour', null
    from generate_series(1, 5000) i;
create table "my shop".orders (
    id bigint not null, customer bigint references "my shop".customers, state "my shop".state,
    at date not null, primary key (id, at)) partition by range (at);
create table "my shop".orders_2023 partition of "my shop".orders
    for values from ('2023-01-01') to ('2024-01-01');
create table "my shop"."orders; drop table x" partition of "my shop".orders
    for values from ('2024-01-01') to ('2025-01-01');
insert into "my shop".orders select i, 1 + i % 5000, 'paid', date '2023-06-01' + (i % 400)
    from generate_series(1, 10000) i;
create view "my shop".rich as select * from "my shop".customers where credit > 100;
create function "my shop".touched() returns trigger language plpgsql
    as $$ begin new.t := 'touched'; return new; end $$;
create trigger touch before update on "my shop".customers
    for each row execute function "my shop".touched();
create index on "my shop".customers (lower(name));
create table empty ();
select nextval('"my shop".numbers') from generate_series(1, 3);
select lo_from_bytea(0, convert_to(repeat('large ' || i, 1000), 'UTF8'))
    from generate_series(1, 5) i;
"""


def compared(server: Postgres, database: str) -> Compared:
    """The whole database, for a comparison that shares no code with the engine."""
    return Compared(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        database=database,
        tools=server.bin,
    )
