-- The sample shop: about half a million rows of every kind that a dump can get wrong.
-- Deterministic but for times: the same seed gives the same shop.
SELECT setseed(0.42);

CREATE SCHEMA shop;
CREATE TYPE shop.order_state AS ENUM ('new', 'paid', 'shipped', 'returned');
CREATE SEQUENCE shop.invoice_number START 1000 INCREMENT 7;

CREATE TABLE shop.customers (
    id           bigint NOT NULL,
    name         text NOT NULL,
    email        text NOT NULL,
    preferences  jsonb NOT NULL,
    tags         text[] NOT NULL,
    credit       numeric(12, 4),
    born         date,
    joined_at    timestamptz NOT NULL
);
CREATE TABLE shop.products (
    id           integer NOT NULL,
    title        text NOT NULL,
    price        numeric(10, 2) NOT NULL CHECK (price > 0),
    sizes        integer[],
    picture      bytea,
    details      jsonb
);
CREATE TABLE shop.orders (
    id           bigint NOT NULL,
    customer_id  bigint NOT NULL,
    state        shop.order_state NOT NULL,
    placed_at    timestamptz NOT NULL,
    note         text,
    invoice      bigint NOT NULL DEFAULT nextval('shop.invoice_number')
) PARTITION BY RANGE (placed_at);
CREATE TABLE shop.orders_2025h1 PARTITION OF shop.orders
    FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2025-07-01 00:00+00');
CREATE TABLE shop.orders_2025h2 PARTITION OF shop.orders
    FOR VALUES FROM ('2025-07-01 00:00+00') TO ('2026-01-01 00:00+00');
CREATE TABLE shop.orders_other PARTITION OF shop.orders DEFAULT;
CREATE TABLE shop.order_lines (
    order_id     bigint NOT NULL,
    line         smallint NOT NULL,
    product_id   integer NOT NULL,
    quantity     integer NOT NULL,
    price        numeric(10, 2) NOT NULL,
    comment      text
);
CREATE TABLE shop.price_changes (
    product_id   integer NOT NULL,
    old_price    numeric(10, 2),
    new_price    numeric(10, 2),
    changed_at   timestamptz NOT NULL DEFAULT now()
);

INSERT INTO shop.customers
SELECT i,
       (ARRAY['Zoë', 'José', 'Søren', '李雷', 'Мария', 'محمد', 'Ngọc', '🦊 Fox'])[1 + i % 8] || ' ' || i,
       'customer' || i || '@example.com',
       jsonb_build_object('theme', CASE i % 3 WHEN 0 THEN 'dark' ELSE 'light' END,
                          'limits', jsonb_build_array(i % 7, random()), 'quote', E'a "b" \\ \n c'),
       ARRAY['t' || i % 10, 'größe', 'a,b', '{c}'],
       CASE WHEN i % 5 = 0 THEN NULL ELSE (random() * 1e6)::numeric(12, 4) END,
       CASE WHEN i % 4 = 0 THEN NULL ELSE date '1950-01-01' + i % 20000 END,
       timestamptz '2024-01-01 00:00+00' + i * interval '7 minutes'
FROM generate_series(1, 60000) AS i;

CREATE TEMPORARY TABLE pictures AS
SELECT n, decode(string_agg(md5(n || ':' || p), ''), 'hex') AS bytes
FROM generate_series(0, 399) AS n, generate_series(1, 400) AS p
GROUP BY n;
INSERT INTO shop.products
SELECT i, 'Product № ' || i, 1 + (random() * 500)::numeric(10, 2),
       CASE WHEN i % 3 = 0 THEN NULL ELSE ARRAY[i % 5, NULL, i % 11] END,
       CASE WHEN i % 9 = 0 THEN NULL ELSE picture.bytes END,
       CASE WHEN i % 2 = 0 THEN NULL ELSE
         jsonb_build_object('ean', lpad(i::text, 13, '0'), 'colours', jsonb_build_array('rød', 'blå'))
       END
FROM generate_series(1, 8000) AS i
JOIN pictures AS picture ON picture.n = i % 400
ORDER BY i;

INSERT INTO shop.orders (id, customer_id, state, placed_at, note)
SELECT i, 1 + (random() * 59999)::int,
       (ARRAY['new', 'paid', 'shipped', 'returned'])[1 + i % 4]::shop.order_state,
       timestamptz '2024-12-20 00:00+00' + i * interval '3 minutes',
       CASE WHEN i % 3 = 0 THEN NULL ELSE 'Lieferung an Tür ' || md5(i::text) || E'\tTab' END
FROM generate_series(1, 180000) AS i;

INSERT INTO shop.order_lines
SELECT (i + 1) / 2, i % 2, 1 + (random() * 7999)::int, 1 + i % 6,
       1 + (random() * 500)::numeric(10, 2),
       CASE WHEN i % 2 = 0 THEN NULL ELSE repeat(md5(i::text) || ' ', 4) END
FROM generate_series(1, 360000) AS i;

-- Keys come after the rows: one sort each instead of a look-up per row.
ALTER TABLE shop.customers ADD PRIMARY KEY (id), ADD UNIQUE (email);
ALTER TABLE shop.products ADD PRIMARY KEY (id);
ALTER TABLE shop.orders ADD PRIMARY KEY (id, placed_at),
    ADD FOREIGN KEY (customer_id) REFERENCES shop.customers (id);
ALTER TABLE shop.order_lines ADD PRIMARY KEY (order_id, line),
    ADD FOREIGN KEY (product_id) REFERENCES shop.products (id);
CREATE INDEX customers_lower_email ON shop.customers (lower(email));
CREATE INDEX orders_by_customer ON shop.orders (customer_id);
CREATE FUNCTION shop.note_price_change() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO shop.price_changes (product_id, old_price, new_price)
    VALUES (NEW.id, OLD.price, NEW.price);
    RETURN NEW;
END
$body$;
CREATE TRIGGER price_change AFTER UPDATE OF price ON shop.products
    FOR EACH ROW WHEN (OLD.price IS DISTINCT FROM NEW.price)
    EXECUTE FUNCTION shop.note_price_change();
CREATE VIEW shop.turnover AS
    SELECT o.state, date_trunc('month', o.placed_at) AS month, sum(l.price * l.quantity) AS total
    FROM shop.orders AS o JOIN shop.order_lines AS l ON l.order_id = o.id
    GROUP BY 1, 2;
UPDATE shop.products SET price = price + 1 WHERE id % 50 = 0;
SELECT lo_from_bytea(0, decode(repeat(md5(i::text), 12000), 'hex')) FROM generate_series(1, 12) AS i;
COMMENT ON TABLE shop.orders IS 'Partitioned; the default partition holds what is out of range';
