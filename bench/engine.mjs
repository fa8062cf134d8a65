// `npm run bench:engine`: see engine/compare.mjs. Without llama.cpp's server there is nothing to compare with.
if (process.env.LLAMA_SERVER === undefined) console.log('skipped: LLAMA_SERVER does not name llama.cpp\'s server, so there is nothing to compare with');
else await import('./engine/compare.mjs');
