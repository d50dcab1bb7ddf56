-- One set of statements for PostgreSQL and SQLite. Rules that keep it so:
-- ids and times come from Go, no DEFAULT now(), no enums, add-only afterwards.
-- A merged migration never changes.

-- Numbers that people read (job 42) or that become paths (overlay 12). Taking
-- one locks its row until the transaction ends, so numbers commit in order:
-- "an earlier job" means the same to everybody.
CREATE TABLE counters (
  name  TEXT PRIMARY KEY,
  value BIGINT NOT NULL
);
--bun:split
INSERT INTO counters (name, value) VALUES ('job', 0), ('overlay', 0);
--bun:split

CREATE TABLE users (
  id                  TEXT PRIMARY KEY,
  name                TEXT NOT NULL CHECK (name <> ''),
  password_hash       TEXT NOT NULL,
  admin               BOOLEAN NOT NULL,
  active              BOOLEAN NOT NULL,
  created_at          TIMESTAMPTZ NOT NULL,
  password_changed_at TIMESTAMPTZ NOT NULL
);
--bun:split
CREATE UNIQUE INDEX users_name ON users (lower(name));
--bun:split

-- id is the SHA-256 of the token: a stolen table signs nobody in.
CREATE TABLE sessions (
  id         TEXT PRIMARY KEY,
  user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  created_at TIMESTAMPTZ NOT NULL,
  seen_at    TIMESTAMPTZ NOT NULL,
  expires_at TIMESTAMPTZ NOT NULL,
  address    TEXT NOT NULL,
  agent      TEXT NOT NULL
);
--bun:split
CREATE INDEX sessions_user ON sessions (user_id);
--bun:split
CREATE INDEX sessions_expiry ON sessions (expires_at);
--bun:split

CREATE TABLE overlays (
  id         BIGINT PRIMARY KEY,
  user_id    TEXT REFERENCES users (id),
  name       TEXT NOT NULL CHECK (name <> ''),
  kind       TEXT NOT NULL CHECK (kind IN ('workshop', 'script', 'files', 'managed')),
  version    BIGINT NOT NULL CHECK (version >= 0),
  created_at TIMESTAMPTZ NOT NULL
);
--bun:split
CREATE UNIQUE INDEX overlays_name ON overlays (COALESCE(user_id, ''), lower(name));
--bun:split

CREATE TABLE blueprints (
  id         TEXT PRIMARY KEY,
  user_id    TEXT NOT NULL REFERENCES users (id),
  name       TEXT NOT NULL CHECK (name <> ''),
  arguments  JSONB NOT NULL,
  config     TEXT NOT NULL,
  revision   BIGINT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  updated_at TIMESTAMPTZ NOT NULL
);
--bun:split
CREATE UNIQUE INDEX blueprints_name ON blueprints (user_id, lower(name));
--bun:split

CREATE TABLE blueprint_overlays (
  blueprint_id TEXT NOT NULL REFERENCES blueprints (id) ON DELETE CASCADE,
  position     INTEGER NOT NULL CHECK (position >= 0),
  overlay_id   BIGINT NOT NULL REFERENCES overlays (id),
  PRIMARY KEY (blueprint_id, position),
  UNIQUE (blueprint_id, overlay_id)
);
--bun:split
CREATE INDEX blueprint_overlays_overlay ON blueprint_overlays (overlay_id);
--bun:split

-- A host is where a worker runs; its row is the worker's sign of life.
CREATE TABLE hosts (
  name    TEXT PRIMARY KEY,
  seen_at TIMESTAMPTZ NOT NULL,
  game    JSONB NOT NULL
);
--bun:split

-- name is for people and may change; instance is the name on the host and never
-- does. What begins with observed_ is written by the observer only.
CREATE TABLE servers (
  id             TEXT PRIMARY KEY,
  user_id        TEXT NOT NULL REFERENCES users (id),
  blueprint_id   TEXT NOT NULL REFERENCES blueprints (id),
  host           TEXT NOT NULL,
  instance       TEXT NOT NULL,
  name           TEXT NOT NULL CHECK (name <> ''),
  hostname       TEXT NOT NULL,
  port           INTEGER NOT NULL CHECK (port BETWEEN 1024 AND 65535),
  rcon_password  TEXT NOT NULL,
  desired        TEXT NOT NULL CHECK (desired IN ('stopped', 'running')),
  observed       TEXT NOT NULL CHECK (observed IN ('absent', 'stopped', 'starting', 'running', 'stopping', 'failed', 'unknown')),
  observed_since TIMESTAMPTZ NOT NULL,
  observed_at    TIMESTAMPTZ NOT NULL,
  status         JSONB NOT NULL,
  applied_revision BIGINT NOT NULL,
  created_at     TIMESTAMPTZ NOT NULL,
  updated_at     TIMESTAMPTZ NOT NULL,
  UNIQUE (host, port),
  UNIQUE (host, instance)
);
--bun:split
CREATE UNIQUE INDEX servers_name ON servers (user_id, lower(name));
--bun:split
CREATE INDEX servers_blueprint ON servers (blueprint_id);
--bun:split

CREATE TABLE jobs (
  id                  BIGINT PRIMARY KEY,
  kind                TEXT NOT NULL,
  host                TEXT NOT NULL,
  pool                TEXT NOT NULL CHECK (pool IN ('interactive', 'bulk')),
  title               TEXT NOT NULL,
  args                JSONB NOT NULL,
  server_id           TEXT REFERENCES servers (id) ON DELETE SET NULL,
  user_id             TEXT REFERENCES users (id) ON DELETE SET NULL,
  owner_id            TEXT REFERENCES users (id) ON DELETE SET NULL,
  state               TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  attempt             INTEGER NOT NULL,
  max_attempts        INTEGER NOT NULL,
  run_after           TIMESTAMPTZ NOT NULL,
  created_at          TIMESTAMPTZ NOT NULL,
  started_at          TIMESTAMPTZ,
  finished_at         TIMESTAMPTZ,
  beat_at             TIMESTAMPTZ,
  worker              TEXT NOT NULL,
  cancel_requested_at TIMESTAMPTZ,
  cancel_reason       TEXT NOT NULL,
  exit_code           INTEGER,
  message             TEXT NOT NULL,
  notices             JSONB NOT NULL,
  progress            JSONB NOT NULL,
  last_seq            BIGINT NOT NULL,
  CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL))
);
--bun:split
CREATE INDEX jobs_unfinished ON jobs (host, id) WHERE finished_at IS NULL;
--bun:split
CREATE INDEX jobs_kind ON jobs (host, kind, id);
--bun:split
CREATE INDEX jobs_server ON jobs (server_id, id);
--bun:split
CREATE INDEX jobs_owner ON jobs (owner_id, id);
--bun:split
CREATE INDEX jobs_user ON jobs (user_id, id);
--bun:split

-- What a job needs while it is unfinished. The rows go when it ends, so that
-- "does an earlier job stand in the way?" reads a handful of rows for ever.
CREATE TABLE job_resources (
  job_id    BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  resource  TEXT NOT NULL,
  exclusive BOOLEAN NOT NULL,
  PRIMARY KEY (job_id, resource)
);
--bun:split
CREATE INDEX job_resources_resource ON job_resources (resource, job_id);
--bun:split

CREATE TABLE job_log (
  job_id BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  seq    BIGINT NOT NULL,
  at     TIMESTAMPTZ NOT NULL,
  stream TEXT NOT NULL,
  text   TEXT NOT NULL,
  PRIMARY KEY (job_id, seq)
);
--bun:split

CREATE TABLE audit_log (
  id        TEXT PRIMARY KEY,
  at        TIMESTAMPTZ NOT NULL,
  user_id   TEXT REFERENCES users (id) ON DELETE SET NULL,
  user_name TEXT NOT NULL,
  address   TEXT NOT NULL,
  action    TEXT NOT NULL,
  subject   TEXT NOT NULL,
  detail    TEXT NOT NULL
);
--bun:split
CREATE INDEX audit_log_at ON audit_log (at);
--bun:split

CREATE TABLE settings (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
);
