/**
 * How the page is built: `dist/` holds all of it, under addresses relative to its own, so that a gateway serves
 * it at `/` and a CDN anywhere.
 *
 * The client package is taken from its sources beside this folder: one build, and nothing of it that is not used.
 */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const gateway = process.env.TICKGATE ?? "http://127.0.0.1:8080";
const client = fileURLToPath(new URL("../js/src/", import.meta.url));

/** The face is asked for at once, so that the first thing seen is set in it. */
const preloadedFace: Plugin = {
  name: "preloaded-face",
  transformIndexHtml: {
    order: "post",
    handler(_, { bundle }) {
      const faces = Object.keys(bundle ?? {}).filter((name) => name.endsWith(".woff2"));
      return faces.map((name) => ({
        tag: "link",
        attrs: { rel: "preload", as: "font", type: "font/woff2", href: `./${name}`, crossorigin: true },
        injectTo: "head" as const,
      }));
    },
  },
};

/** Its license goes with it. */
const licenseOfFace: Plugin = {
  name: "license-of-face",
  generateBundle() {
    const source = readFileSync(new URL("node_modules/@fontsource-variable/inter/LICENSE", import.meta.url));
    this.emitFile({ type: "asset", fileName: "static/inter-license.txt", source });
  },
};

export default defineConfig({
  root: fileURLToPath(new URL("src", import.meta.url)),
  base: "./",
  plugins: [preloadedFace, licenseOfFace],
  resolve: {
    alias: [
      { find: /^tickgate$/, replacement: `${client}index.ts` },
      { find: /^tickgate\/(.+)$/, replacement: `${client}$1.ts` },
    ],
  },
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    assetsDir: "static",
    // A data: address would need an exception in a strict Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    license: { fileName: "static/licenses.md" },
  },
  // `npm run dev` has the API of a running gateway beside it.
  server: {
    proxy: {
      "/api": { target: gateway, ws: true, changeOrigin: false },
      "/udf": { target: gateway },
    },
  },
});
