-- BLAKE3 of the secret in a worker process's first hello, in hexadecimal; NULL where it had none. Nobody else speaks for it.
ALTER TABLE worker_streams ADD COLUMN secret_hash TEXT;
