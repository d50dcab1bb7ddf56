-- What people tell a running game: a console command, a word in the chat, a kick,
-- a change of map. At most once: a request that waited too long is never sent.
CREATE TABLE console_commands (
  id          TEXT PRIMARY KEY,
  server_id   TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
  user_id     TEXT REFERENCES users (id) ON DELETE SET NULL,
  user_name   TEXT NOT NULL,
  verb        TEXT NOT NULL CHECK (verb IN ('rcon', 'say', 'kick', 'ban', 'unban', 'map')),
  arguments   JSONB NOT NULL,
  line        TEXT NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed')),
  reply       TEXT NOT NULL,
  message     TEXT NOT NULL,
  created_at  TIMESTAMPTZ NOT NULL,
  started_at  TIMESTAMPTZ,
  finished_at TIMESTAMPTZ
);
--bun:split
CREATE INDEX console_commands_server ON console_commands (server_id, id);
--bun:split
CREATE INDEX console_commands_unfinished ON console_commands (created_at) WHERE finished_at IS NULL;
--bun:split
-- A server is told one thing at a time.
CREATE UNIQUE INDEX console_commands_running ON console_commands (server_id) WHERE state = 'running';
--bun:split

-- What a server was like, run by run: one row for as long as players, bots, map and
-- the rounded CPU and memory stay the same.
CREATE TABLE server_samples (
  server_id TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
  at        TIMESTAMPTZ NOT NULL,
  until     TIMESTAMPTZ NOT NULL,
  players   INTEGER NOT NULL CHECK (players >= 0),
  bots      INTEGER NOT NULL CHECK (bots >= 0),
  map       TEXT NOT NULL,
  cpu       INTEGER NOT NULL CHECK (cpu >= 0),
  memory    BIGINT NOT NULL CHECK (memory >= 0),
  PRIMARY KEY (server_id, at)
);
--bun:split
CREATE INDEX server_samples_age ON server_samples (until);
--bun:split

-- Somebody's stay on a server. steam_id is the 64-bit number as text, "" where the
-- game told none. left_at is null while they are on it.
CREATE TABLE player_sessions (
  id         TEXT PRIMARY KEY,
  server_id  TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
  steam_id   TEXT NOT NULL,
  name       TEXT NOT NULL,
  joined_at  TIMESTAMPTZ NOT NULL,
  seen_at    TIMESTAMPTZ NOT NULL,
  left_at    TIMESTAMPTZ,
  ping_min   INTEGER NOT NULL,
  ping_max   INTEGER NOT NULL
);
--bun:split
CREATE INDEX player_sessions_server ON player_sessions (server_id, id);
--bun:split
CREATE INDEX player_sessions_seen ON player_sessions (server_id, seen_at);
--bun:split
-- Nobody is on a server twice.
CREATE UNIQUE INDEX player_sessions_open ON player_sessions (server_id, steam_id) WHERE left_at IS NULL AND steam_id <> '';
--bun:split
CREATE UNIQUE INDEX player_sessions_open_name ON player_sessions (server_id, name) WHERE left_at IS NULL AND steam_id = '';
--bun:split
CREATE INDEX player_sessions_age ON player_sessions (seen_at);
--bun:split
CREATE INDEX player_sessions_steam ON player_sessions (steam_id);
--bun:split

-- Names and pictures that Steam tells of players, kept for a day. avatar is the
-- SHA-256 of a picture that the host has, "" for none.
CREATE TABLE steam_profiles (
  steam_id   TEXT PRIMARY KEY,
  name       TEXT NOT NULL,
  avatar     TEXT NOT NULL,
  asked_at   TIMESTAMPTZ NOT NULL,
  fetched_at TIMESTAMPTZ
);
--bun:split
CREATE INDEX steam_profiles_age ON steam_profiles (asked_at);
--bun:split

-- The specs that a host was given, without their password, by the sum that the host
-- reports of a running game.
CREATE TABLE server_specs (
  server_id  TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
  sum        TEXT NOT NULL,
  spec       JSONB NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (server_id, sum)
);
--bun:split
CREATE INDEX server_specs_age ON server_specs (server_id, created_at);
--bun:split

-- zone is an IANA name, "" for the worker's own. catch_up: a tick that was missed is
-- served late, once. seen_at is when a worker last looked at it.
ALTER TABLE schedules ADD COLUMN zone TEXT NOT NULL DEFAULT '';
--bun:split
ALTER TABLE schedules ADD COLUMN minute INTEGER NOT NULL DEFAULT 0 CHECK (minute BETWEEN 0 AND 59);
--bun:split
ALTER TABLE schedules ADD COLUMN catch_up BOOLEAN NOT NULL DEFAULT TRUE;
--bun:split
ALTER TABLE schedules ADD COLUMN seen_at TIMESTAMPTZ;
--bun:split
INSERT INTO schedules (name, host, hour, enabled, last_at, catch_up) VALUES
  ('game.check', 'local', 6, TRUE, NULL, TRUE), ('server.restart_empty', 'local', 5, FALSE, NULL, FALSE);
--bun:split

-- What the host's doctor found, and when.
ALTER TABLE hosts ADD COLUMN doctor JSONB NOT NULL DEFAULT '{}';
--bun:split
ALTER TABLE hosts ADD COLUMN doctor_at TIMESTAMPTZ;
--bun:split

-- An id begins with its time, so these lists come newest first.
CREATE INDEX audit_log_user ON audit_log (user_id, id);
--bun:split
CREATE INDEX audit_log_name ON audit_log (lower(user_name), id);
--bun:split
CREATE INDEX audit_log_action ON audit_log (action, id);
--bun:split
CREATE INDEX audit_log_subject ON audit_log (subject, id);
--bun:split

-- What ended lately is counted for the metrics.
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
