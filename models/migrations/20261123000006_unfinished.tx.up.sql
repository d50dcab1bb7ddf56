-- Jobs that are under way are a handful among a million that ended. These find them
-- in every way they are asked for, whatever a database knows of its own contents.
CREATE INDEX jobs_unfinished_id ON jobs (id) WHERE finished_at IS NULL;
--bun:split
CREATE INDEX jobs_unfinished_kind ON jobs (host, kind, id) WHERE finished_at IS NULL;
--bun:split
CREATE INDEX jobs_unfinished_server ON jobs (server_id, id) WHERE finished_at IS NULL;
--bun:split
CREATE INDEX jobs_unfinished_overlay ON jobs (overlay_id, id) WHERE finished_at IS NULL;
--bun:split
CREATE INDEX jobs_unfinished_user ON jobs (user_id, id) WHERE finished_at IS NULL;
