-- The store of Mestre, schema version 1. This file is the contract that users query.
--
-- Views (plural) are what users see; tables (singular) are how it is kept, and may grow. Names and texts in columns are never changed or
-- reused. Times are seconds since the epoch (UTC); JSON is text that json_extract, -> and ->> read; an empty string means "not known".
-- A number that is not finite stands in JSON as one of the texts "nan", "inf", "-inf"; in a view `value` is then NULL and `non_finite` has it.

PRAGMA application_id = 1299412082;  -- "Mstr"
PRAGMA user_version = 1;

-- What is wanted: written by `mestre run`.

CREATE TABLE sweep (
  sweep_id    INTEGER PRIMARY KEY,  -- number in this file only
  name        TEXT NOT NULL UNIQUE, -- [sweep] name
  question    TEXT NOT NULL,        -- [sweep] question
  file        TEXT NOT NULL,        -- the sweep file as it was named on the command line
  baseline    TEXT NOT NULL,        -- JSON object, axis: label
  axes        TEXT NOT NULL,        -- JSON array of {"name": …, "labels": […]}, in the order of the file
  data        TEXT NOT NULL,        -- JSON object, data digest: manifest relative to the data root
  cells       TEXT NOT NULL,        -- XXH3-128 of its cells and jobs as they are recorded: the same are not written again
  recorded_at REAL NOT NULL         -- s since the epoch; when it was last planned by `mestre run`
) STRICT;

CREATE TABLE cell (
  cell_id  INTEGER PRIMARY KEY,  -- number in this file only
  sweep_id INTEGER NOT NULL REFERENCES sweep ON DELETE CASCADE,
  number   INTEGER NOT NULL,     -- position in the grid, from 0
  name     TEXT NOT NULL,        -- 'architecture=Samba,seed=3407'
  labels   TEXT NOT NULL,        -- JSON object, axis: label; axes that do not exist for this cell are left out
  options  TEXT NOT NULL,        -- JSON object {"data": …, "model": …, "train": …}: every option at its value
  marks    TEXT NOT NULL DEFAULT '[]', -- JSON array of texts: what makes the comparison with its baseline unfair
  UNIQUE (sweep_id, number)
) STRICT;
CREATE INDEX cell_by_name ON cell (name);

CREATE TABLE job (
  job_id    INTEGER PRIMARY KEY,  -- number in this file only
  id        TEXT NOT NULL UNIQUE, -- XXH3-128 of the canonical spec, 32 hexadecimal digits; the name of the job's folder
  kind      TEXT NOT NULL,        -- 'train', 'evaluate', 'measure'
  state     TEXT NOT NULL,        -- 'queued', 'running', 'done', 'failed'
  state_at  REAL NOT NULL,        -- s since the epoch; when the state last changed
  speed_key TEXT NOT NULL,        -- jobs with the same key are expected to run at the same speed
  launch    TEXT NOT NULL,        -- JSON object: how the work is to be carried out (not part of the identity)
  estimate  TEXT NOT NULL,        -- JSON object: parameters, flops, tokens, memory_bytes, disk_bytes, seconds …, as planned
  spec      TEXT NOT NULL         -- the canonical spec, JSON: what the id is the hash of
) STRICT;
CREATE INDEX job_by_state ON job (state, id);

CREATE TABLE job_need (  -- a job starts only when those that it needs are done
  job_id   INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,
  needs_id INTEGER NOT NULL REFERENCES job,
  PRIMARY KEY (job_id, needs_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE cell_job (
  cell_id  INTEGER NOT NULL REFERENCES cell ON DELETE CASCADE,
  position INTEGER NOT NULL,      -- from 0; the training job first, where there is one
  job_id   INTEGER NOT NULL REFERENCES job,
  name     TEXT NOT NULL,         -- 'train', or the name of the [[stage]], [[evaluate]] or [[measure]]: what this sweep calls the job
  PRIMARY KEY (cell_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX cell_job_by_job ON cell_job (job_id, cell_id);

CREATE TABLE sweep_job (
  sweep_id INTEGER NOT NULL REFERENCES sweep ON DELETE CASCADE,
  position INTEGER NOT NULL,      -- from 0, in the order of the plan: those that others need first
  job_id   INTEGER NOT NULL REFERENCES job,
  priority INTEGER NOT NULL,      -- lower runs first
  PRIMARY KEY (sweep_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX sweep_job_by_job ON sweep_job (job_id, sweep_id);

CREATE TABLE submission (  -- an intent to start jobs, recorded before the act
  submission_id INTEGER PRIMARY KEY,  -- number in this file only
  token         TEXT NOT NULL UNIQUE, -- 32 hexadecimal digits, random; a worker must show it
  runner        TEXT NOT NULL,        -- 'local', 'slurm'
  recorded_at   REAL NOT NULL         -- s since the epoch
) STRICT;

CREATE TABLE submission_member (
  submission_id INTEGER NOT NULL REFERENCES submission ON DELETE CASCADE,
  position      INTEGER NOT NULL,     -- index of the task, from 0
  job_id        INTEGER NOT NULL REFERENCES job,
  PRIMARY KEY (submission_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX submission_member_by_job ON submission_member (job_id, submission_id);

-- What happened: folded in from the journals.

CREATE TABLE attempt (
  attempt_id        INTEGER PRIMARY KEY,  -- number in this file only
  job_id            INTEGER NOT NULL REFERENCES job,
  number            INTEGER NOT NULL,     -- N of the folder attempt-N, from 1
  token             TEXT NOT NULL DEFAULT '',   -- of the submission that it belongs to
  host              TEXT NOT NULL DEFAULT '',
  devices           TEXT NOT NULL DEFAULT '[]', -- JSON array of names: 'cpu', 'NVIDIA H200' …
  threads           INTEGER,              -- CPU threads
  micro_batch       INTEGER,              -- sequences per forward pass; 0: all of a step's; -1: the worker chose, and the summary says what
  versions          TEXT NOT NULL DEFAULT '{}', -- JSON object, library: version
  git_commit        TEXT NOT NULL DEFAULT '',   -- that the worker was built from, 40 hexadecimal digits
  git_dirty         INTEGER,              -- 1: tracked files differed from it
  started_at        REAL,                 -- s since the epoch; NULL before the line `started` was read
  ended_at          REAL,                 -- s since the epoch; of the line `failed` or `finished`
  steps             INTEGER,              -- optimizer steps that the job takes in all; 0: not counted in steps
  restored_step     INTEGER,              -- step of the checkpoint that it started from; NULL: afresh
  restored_file     TEXT NOT NULL DEFAULT '',   -- relative to the job's folder
  restored_digest   TEXT NOT NULL DEFAULT '',
  valid_through     INTEGER,              -- steps; the smallest step restored by a later attempt (0: one began afresh); NULL: no later one
  outcome           TEXT,                 -- 'finished', 'failed', 'killed' (no terminal line, and the process is gone); NULL while it may live
  cause             TEXT NOT NULL DEFAULT '',   -- of a failure: 'out_of_memory_gpu', 'out_of_memory_host', 'diverged', 'bad_input', 'data',
                                          -- 'deadline', 'preempted', 'node', 'disk_full', 'bug'
  message           TEXT NOT NULL DEFAULT '',   -- of a failure
  summary           TEXT NOT NULL DEFAULT '{}', -- JSON object, final metrics: tokens, seconds (s), tokens_per_second (1/s), loss …
  progress_done     REAL,                 -- units of work done, by the last line `progress`
  progress_total    REAL,                 -- units of work in all
  tokens_per_second REAL,                 -- 1/s; of the last line `progress`, in the end of the summary
  last_t            REAL,                 -- s since the epoch; of the last line that was read
  cursor_offset     INTEGER NOT NULL DEFAULT 0, -- bytes of the journal that were folded in
  cursor_seq        INTEGER NOT NULL DEFAULT 0, -- number of the last line that was folded in
  cursor_crc        INTEGER NOT NULL DEFAULT 0, -- its CRC-32
  quarantine        TEXT NOT NULL DEFAULT '',   -- why the journal behind the cursor is not read; empty: it is
  UNIQUE (job_id, number)
) STRICT;

CREATE TABLE curve_chunk (  -- a stretch of one curve of one attempt
  chunk_id   INTEGER PRIMARY KEY,
  attempt_id INTEGER NOT NULL REFERENCES attempt ON DELETE CASCADE,
  name       TEXT NOT NULL,        -- 'loss', 'learning_rate' …
  number     INTEGER NOT NULL,     -- from 0, in the order of the journal
  count      INTEGER NOT NULL,     -- points
  first_step INTEGER NOT NULL,     -- the smallest step in it
  last_step  INTEGER NOT NULL,     -- the largest step in it
  points     TEXT NOT NULL,        -- JSON array of [step, value, t in s since the epoch]
  UNIQUE (attempt_id, name, number)
) STRICT;

CREATE TABLE measurement (  -- a typed array, row-major over its axes
  measurement_id INTEGER PRIMARY KEY,
  attempt_id     INTEGER NOT NULL REFERENCES attempt ON DELETE CASCADE,
  seq            INTEGER NOT NULL,  -- line of the journal
  t              REAL NOT NULL,     -- s since the epoch
  name           TEXT NOT NULL,     -- 'perplexity'
  unit           TEXT NOT NULL,     -- of the values; empty: a plain number
  dtype          TEXT NOT NULL,     -- of the values as they were measured: 'float64' …
  axes           TEXT NOT NULL,     -- JSON array of {"name": …, "unit": …, "values": […], "stride": values between neighbours}
  details        TEXT NOT NULL,     -- JSON object: facts that go with it, as number of blocks
  data           TEXT NOT NULL,     -- JSON array: the values
  UNIQUE (attempt_id, seq)
) STRICT;

CREATE TABLE event (  -- every other line of the journals but `progress`, and what the store itself noticed
  event_id   INTEGER PRIMARY KEY,
  attempt_id INTEGER NOT NULL REFERENCES attempt ON DELETE CASCADE,
  seq        INTEGER NOT NULL,   -- line of the journal; of 'quarantined' the first that cannot be read
  t          REAL NOT NULL,      -- s since the epoch
  type       TEXT NOT NULL,      -- 'started', 'checkpoint', 'warning', 'failed', 'finished', 'quarantined'
  step       INTEGER,            -- of 'checkpoint': the optimizer step that it holds
  data       TEXT NOT NULL       -- JSON object: the other members of the line
) STRICT;
CREATE INDEX event_by_attempt ON event (attempt_id, type, step);

-- What users see.

CREATE VIEW sweeps AS
SELECT
  sweep.name     AS sweep,
  sweep.question AS question,
  sweep.file     AS file,         -- as it was named on the command line
  sweep.baseline AS baseline,     -- JSON object, axis: label
  sweep.axes     AS axes,         -- JSON array of {"name", "labels", "replicates": varies nothing but seeds}
  (SELECT count(*) FROM cell WHERE cell.sweep_id = sweep.sweep_id) AS cells,
  sweep.recorded_at AS recorded_at  -- s since the epoch; when it was last planned by `mestre run`
FROM sweep;

-- One row per cell of a sweep. Labels: labels ->> '$.architecture'; options: options ->> '$.train.learning_rate'; final metrics by job name:
-- metrics ->> '$.train.loss'. `state` is 'failed' or 'running' where one of its jobs is, 'done' where all are, else 'queued'.
CREATE VIEW runs AS
SELECT
  sweep.name  AS sweep,
  cell.number AS number,     -- position in the grid, from 0
  cell.name   AS cell,       -- 'architecture=Samba,seed=3407'
  cell.labels AS labels,     -- JSON object, axis: label
  cell.options AS options,   -- JSON object {"data": …, "model": …, "train": …}
  cell.marks  AS marks,      -- JSON array of texts: what makes the comparison with its baseline unfair ('parameters +3.4 %')
  (SELECT CASE max(CASE job.state WHEN 'failed' THEN 3 WHEN 'running' THEN 2 WHEN 'done' THEN 0 ELSE 1 END)
            WHEN 3 THEN 'failed' WHEN 2 THEN 'running' WHEN 1 THEN 'queued' ELSE 'done' END
     FROM cell_job JOIN job USING (job_id) WHERE cell_job.cell_id = cell.cell_id) AS state,
  (SELECT count(*) FROM cell_job WHERE cell_job.cell_id = cell.cell_id) AS jobs,  -- how many the cell has
  (SELECT count(*) FROM cell_job JOIN job USING (job_id)
     WHERE cell_job.cell_id = cell.cell_id AND job.state = 'done') AS jobs_done,  -- how many of them are done
  (SELECT job.id FROM cell_job JOIN job USING (job_id)
     WHERE cell_job.cell_id = cell.cell_id AND cell_job.position = 0) AS job,     -- id of the training job
  (SELECT json_group_object(cell_job.name, json(attempt.summary))
     FROM cell_job JOIN attempt USING (job_id)
     WHERE cell_job.cell_id = cell.cell_id AND attempt.outcome = 'finished') AS metrics  -- JSON object, job name: {metric: final value}
FROM sweep JOIN cell USING (sweep_id);

-- Which jobs make up a run; one job may belong to many runs. Joins runs with jobs, curves, measurements, attempts and events.
CREATE VIEW run_jobs AS
SELECT
  sweep.name    AS sweep,
  cell.name     AS cell,
  job.id        AS job,
  cell_job.name AS name,     -- 'train', or the name of the [[stage]], [[evaluate]] or [[measure]]
  job.kind      AS kind,
  job.state     AS state
FROM sweep JOIN cell USING (sweep_id) JOIN cell_job USING (cell_id) JOIN job USING (job_id);

CREATE VIEW jobs AS
SELECT
  job.id AS job, job.kind AS kind, job.state AS state,
  job.state_at AS state_at,  -- s since the epoch
  (SELECT count(*) FROM attempt WHERE attempt.job_id = job.job_id) AS attempts,
  (SELECT cause FROM attempt WHERE attempt.job_id = job.job_id ORDER BY number DESC LIMIT 1) AS last_cause,
  (SELECT json_group_array(needed.id) FROM job_need JOIN job AS needed ON needed.job_id = job_need.needs_id
     WHERE job_need.job_id = job.job_id) AS needs,  -- JSON array of job ids
  job.speed_key AS speed_key, job.launch AS launch, job.estimate AS estimate, job.spec AS spec
FROM job;

CREATE VIEW attempts AS
SELECT
  job.id AS job, attempt.number AS attempt, attempt.outcome AS outcome, attempt.cause AS cause, attempt.message AS message,
  attempt.started_at AS started_at, attempt.ended_at AS ended_at, attempt.last_t AS last_t,  -- s since the epoch
  attempt.steps AS steps, attempt.restored_step AS restored_step, attempt.valid_through AS valid_through,  -- steps
  attempt.progress_done AS progress_done, attempt.progress_total AS progress_total,
  attempt.tokens_per_second AS tokens_per_second,  -- 1/s
  attempt.summary AS summary, attempt.host AS host, attempt.devices AS devices, attempt.threads AS threads,
  attempt.micro_batch AS micro_batch, attempt.versions AS versions, attempt.git_commit AS git_commit, attempt.git_dirty AS git_dirty,
  attempt.token AS token, attempt.quarantine AS quarantine
FROM attempt JOIN job USING (job_id);

-- One row per point of a curve. Points that a later attempt computed again are left out, so none is there twice.
CREATE VIEW curves AS
SELECT
  job.id AS job, attempt.number AS attempt, curve_chunk.name AS name,
  json_extract(point.value, '$[0]') AS step,  -- optimizer steps done
  CASE json_type(point.value, '$[1]') WHEN 'text' THEN NULL ELSE json_extract(point.value, '$[1]') END AS value,
  json_extract(point.value, '$[2]') AS t,     -- s since the epoch
  CASE json_type(point.value, '$[1]') WHEN 'text' THEN json_extract(point.value, '$[1]') END AS non_finite  -- 'nan', 'inf', '-inf'
FROM job JOIN attempt USING (job_id) JOIN curve_chunk USING (attempt_id) JOIN json_each(curve_chunk.points) AS point
WHERE attempt.valid_through IS NULL
   OR (attempt.valid_through > 0 AND curve_chunk.first_step <= attempt.valid_through
       AND json_extract(point.value, '$[0]') <= attempt.valid_through);

-- One row per value of a measured array. What stood behind the checkpoint that a later attempt started from is left out.
CREATE VIEW measurements AS
SELECT
  job.id AS job, attempt.number AS attempt, measurement.name AS name, measurement.unit AS unit,
  (SELECT json_group_object(json_extract(axis.value, '$.name'),
            json_extract(axis.value, '$.values[' || ((item.key / json_extract(axis.value, '$.stride'))
                                                       % json_array_length(axis.value, '$.values')) || ']'))
     FROM json_each(measurement.axes) AS axis) AS axes,  -- JSON object, axis: coordinate; axes ->> '$.length'
  CASE item.type WHEN 'text' THEN NULL ELSE item.value END AS value,
  CASE item.type WHEN 'text' THEN item.value END AS non_finite,  -- 'nan', 'inf', '-inf'
  measurement.details AS details, measurement.seq AS seq,
  measurement.t AS t  -- s since the epoch
FROM job JOIN attempt USING (job_id) JOIN measurement USING (attempt_id) JOIN json_each(measurement.data) AS item
WHERE attempt.valid_through IS NULL
   OR measurement.seq <= (SELECT max(seq) FROM event
                            WHERE event.attempt_id = attempt.attempt_id AND event.type = 'checkpoint' AND event.step <= attempt.valid_through);

-- What [[measure]] quantity = "entropy" found (core/tasks/entropy): one row per layer, of attention per layer and head, for each run that the job
-- belongs to. `quantity` is 'attention_entropy', 'selection_entropy' or 'delta_mean'; values are means over texts.
CREATE VIEW entropies AS
SELECT
  sweep.name AS sweep, cell.name AS cell, job.id AS job,
  cell_job.name  AS name,      -- of the [[measure]]
  attempt.number AS attempt,
  measurement.name AS quantity,
  json_extract(measurement.axes, '$[0].values[' || (item.key / json_extract(measurement.axes, '$[0].stride')) || ']')
    AS layer,  -- index of the block (mixer + MLP), from 0
  json_extract(measurement.axes, '$[1].values[' || (item.key % json_extract(measurement.axes, '$[0].stride')) || ']')
    AS head,   -- from 0; NULL where the quantity has none
  CASE item.type WHEN 'text' THEN NULL ELSE item.value END AS value,
  CASE item.type WHEN 'text' THEN item.value END AS non_finite,  -- 'nan', 'inf', '-inf'
  CASE json_type(error.data, '$[' || item.key || ']') WHEN 'text' THEN NULL ELSE json_extract(error.data, '$[' || item.key || ']') END
    AS standard_error,  -- over texts, in the unit of the value; NULL where there is one text
  measurement.unit AS unit,  -- 'nats'; empty: a plain number
  measurement.details ->> '$.samples' AS samples,  -- texts
  measurement.details ->> '$.estimator_version' AS estimator_version,
  measurement.details ->> '$.new_tokens' AS new_tokens,  -- tokens that the model wrote behind each text
  measurement.details ->> '$.context' AS context,  -- tokens of a text and its answer
  measurement.t AS t  -- s since the epoch
FROM sweep JOIN cell USING (sweep_id) JOIN cell_job USING (cell_id) JOIN job USING (job_id) JOIN attempt USING (job_id) JOIN measurement USING (attempt_id)
  LEFT JOIN measurement AS error ON error.attempt_id = measurement.attempt_id AND error.name = measurement.name || '_standard_error'
                                AND error.axes = measurement.axes
  JOIN json_each(measurement.data) AS item
WHERE measurement.name IN ('attention_entropy', 'selection_entropy', 'delta_mean')
  AND json_extract(measurement.axes, '$[0].name') = 'layer'
  AND attempt.valid_through IS NULL;

CREATE VIEW events AS
SELECT
  job.id AS job, attempt.number AS attempt, event.seq AS seq,
  event.t AS t,  -- s since the epoch
  event.type AS type, event.step AS step, event.data AS data
FROM job JOIN attempt USING (job_id) JOIN event USING (attempt_id);
