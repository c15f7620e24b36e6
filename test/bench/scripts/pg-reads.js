// Reads rows of PostgreSQL by their key in a plain script. Every message `{url, sql, keys, count, concurrency}` of the
// parent is a run, and is answered with its figures.
const { Pool } = require('pg');
const { startMeter } = require('../harness/meter');

let pool;

process.on('message', async ({ url, sql, keys, count, concurrency }) => {
  pool ??= new Pool({ connectionString: url, max: 10 });
  const stop = startMeter();
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const key = keys[next++ % keys.length];
      const { rows } = await pool.query({ name: 'read', text: sql, values: [key] });
      if (rows.length !== 1) throw new Error(`There are ${rows.length} rows for ${key}.`);
      JSON.stringify(rows[0]);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  process.send(stop());
});

process.on('disconnect', () => pool?.end());
