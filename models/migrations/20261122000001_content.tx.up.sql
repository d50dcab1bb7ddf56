-- What overlays hold: their definitions, versions, workshop items, uploads and
-- drafts.

-- definition is what the next version is made of; see models.OverlayDefinition.
ALTER TABLE overlays ADD COLUMN definition JSONB NOT NULL DEFAULT '{}';
--bun:split
ALTER TABLE overlays ADD COLUMN revision BIGINT NOT NULL DEFAULT 1;
--bun:split
-- The number of the last change that its draft ever had: it never comes again, so
-- that what was published and what came afterwards cannot be mixed up.
ALTER TABLE overlays ADD COLUMN draft_seq BIGINT NOT NULL DEFAULT 0;
--bun:split
-- edits counts what a person saved and guards the next save; revision counts
-- everything that changes what servers would get, such as a new version of an
-- overlay.
ALTER TABLE blueprints ADD COLUMN edits BIGINT NOT NULL DEFAULT 1;
--bun:split
ALTER TABLE blueprint_overlays ADD COLUMN exec BOOLEAN NOT NULL DEFAULT FALSE;
--bun:split
ALTER TABLE jobs ADD COLUMN overlay_id BIGINT REFERENCES overlays (id) ON DELETE SET NULL;
--bun:split
CREATE INDEX jobs_overlay ON jobs (overlay_id, id);
--bun:split

-- report is ctl.Version: counts, findings, campaigns. The list of files stays on
-- the host beside the version.
CREATE TABLE overlay_versions (
  overlay_id   BIGINT NOT NULL REFERENCES overlays (id) ON DELETE CASCADE,
  number       BIGINT NOT NULL CHECK (number > 0),
  created_at   TIMESTAMPTZ NOT NULL,
  user_id      TEXT REFERENCES users (id) ON DELETE SET NULL,
  user_name    TEXT NOT NULL,
  job_id       BIGINT REFERENCES jobs (id) ON DELETE SET NULL,
  why          TEXT NOT NULL,
  size         BIGINT NOT NULL,
  files        BIGINT NOT NULL,
  report       JSONB NOT NULL,
  collected_at TIMESTAMPTZ,
  PRIMARY KEY (overlay_id, number)
);
--bun:split

-- What somebody asked for: items and collections, in their order.
CREATE TABLE overlay_items (
  overlay_id BIGINT NOT NULL REFERENCES overlays (id) ON DELETE CASCADE,
  item_id    TEXT NOT NULL,
  position   INTEGER NOT NULL,
  added_at   TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (overlay_id, item_id)
);
--bun:split
CREATE INDEX overlay_items_item ON overlay_items (item_id);
--bun:split

-- What the host knows of each item; state and report are ctl.Item's.
CREATE TABLE workshop_items (
  id         TEXT PRIMARY KEY,
  state      TEXT NOT NULL CHECK (state IN ('collection', 'wanted', 'stored', 'outdated', 'gone', 'failed')),
  title      TEXT NOT NULL,
  stamp      TEXT NOT NULL,
  report     JSONB NOT NULL,
  checked_at TIMESTAMPTZ NOT NULL
);
--bun:split

-- Refused files that an administrator lets in, by the SHA-256 of their content.
CREATE TABLE admitted_files (
  overlay_id BIGINT NOT NULL REFERENCES overlays (id) ON DELETE CASCADE,
  sha256     TEXT NOT NULL,
  path       TEXT NOT NULL,
  user_name  TEXT NOT NULL,
  at         TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (overlay_id, sha256)
);
--bun:split

-- A file on its way from a browser. Its bytes are in uploads/ID on the host.
CREATE TABLE uploads (
  id         TEXT PRIMARY KEY,
  user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  overlay_id BIGINT NOT NULL REFERENCES overlays (id) ON DELETE CASCADE,
  name       TEXT NOT NULL,
  size       BIGINT NOT NULL CHECK (size >= 0),
  received   BIGINT NOT NULL CHECK (received >= 0 AND received <= size),
  created_at TIMESTAMPTZ NOT NULL,
  updated_at TIMESTAMPTZ NOT NULL
);
--bun:split
CREATE INDEX uploads_overlay ON uploads (overlay_id, id);
--bun:split
CREATE INDEX uploads_age ON uploads (updated_at);
--bun:split

-- Changes of a files overlay that are not published yet, applied in order.
CREATE TABLE draft_changes (
  overlay_id BIGINT NOT NULL REFERENCES overlays (id) ON DELETE CASCADE,
  seq        BIGINT NOT NULL,
  op         TEXT NOT NULL CHECK (op IN ('put', 'unpack', 'mkdir', 'move', 'delete')),
  path       TEXT NOT NULL,
  target     TEXT NOT NULL,
  upload_id  TEXT REFERENCES uploads (id),
  name       TEXT NOT NULL,
  size       BIGINT NOT NULL,
  at         TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (overlay_id, seq)
);
--bun:split
CREATE INDEX draft_changes_upload ON draft_changes (upload_id);
--bun:split

-- Work that comes by the clock. last_at is the tick that was served last.
CREATE TABLE schedules (
  name    TEXT PRIMARY KEY,
  host    TEXT NOT NULL,
  hour    INTEGER NOT NULL CHECK (hour BETWEEN 0 AND 23),
  enabled BOOLEAN NOT NULL,
  last_at TIMESTAMPTZ
);
--bun:split
INSERT INTO schedules (name, host, hour, enabled, last_at) VALUES ('overlay.refresh', 'local', 4, TRUE, NULL), ('overlay.gc', 'local', 5, TRUE, NULL);
