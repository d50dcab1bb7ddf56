// Bundles src/ into ../static/editor.js. The first line of the bundle names what it
// was made of: the versions, and a sum of the source, so that a test can tell when
// it was forgotten to make it anew.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { build } from 'esbuild';

const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
const sum = createHash('sha256');
for (const name of readdirSync('src').sort()) sum.update(readFileSync(`src/${name}`));
const made = [...Object.entries(dependencies).map(([name, version]) => `${name}@${version}`), `source@${sum.digest('hex').slice(0, 16)}`];

await build({
  entryPoints: ['src/editor.js'],
  outfile: '../static/editor.js',
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  legalComments: 'none', // ../static/editor.LICENSE has them
  banner: { js: `// ${made.join(' ')}` },
  logLevel: 'warning',
});
