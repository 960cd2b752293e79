// A browser for the checks, and what they assert with.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// The packages are in the cache, not beside this file.
const require = createRequire(`${process.env.PATCHDEX_PAGE_PACKAGES}/`);
const { chromium } = require("playwright-core");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

/** What takes longer hangs. */
const LIMIT = 60_000;

export const launch = () =>
  chromium.launch({ executablePath: process.env.PATCHDEX_CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });

/** Opens the page, and runs `check` with it. Errors that are not `expected` fail it, and so does a request to elsewhere. */
export async function withPage(browser, url, { options = {}, expected = [] }, check) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 },
    permissions: ["clipboard-read", "clipboard-write"],
    ...options,
  });
  context.setDefaultTimeout(LIMIT);
  const page = await context.newPage();
  const wrong = [];
  page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol !== "blob:" && origin !== new URL(url).origin) wrong.push(`asked ${request.url()}`);
  });
  try {
    await page.goto(url);
    await check(page, context);
    const unexpected = wrong.filter((text) => !expected.some((part) => text.includes(part)));
    assert.deepEqual(unexpected, [], "errors in the console");
  } catch (error) {
    if (process.env.PICTURES) await page.screenshot({ path: `${process.env.PICTURES}/failed.png` });
    throw wrong.length ? new Error(`${error.message}\n${wrong.join("\n")}`, { cause: error }) : error;
  } finally {
    await context.close();
  }
}

/** Asserts that axe finds nothing. */
export async function accessible(page, where) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() =>
    axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }),
  );
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).join("; ")}`);
  assert.deepEqual(told, [], `axe on ${where}`);
}

/** Asserts that nothing is wider than the screen. */
export async function fits(page, where) {
  const [inner, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(inner <= width, `${where} is ${inner} px wide on a screen of ${width}`);
}

/** Waits for the hits of the search that runs. */
export async function searched(page) {
  await page.waitForFunction(() => /hits? in|Nothing found/.test(document.getElementById("status").textContent));
  await page.waitForFunction(() => document.getElementById("progress").hidden);
}

/** The corner of a point of the picture on the screen, and how large a pixel of it is there. */
export async function place(page) {
  const layer = page.locator("#editor .boxes");
  await layer.scrollIntoViewIfNeeded();
  const { x, y, width } = await layer.boundingBox();
  const shape = await page.locator("#editor svg").getAttribute("viewBox");
  const scale = width / Number(shape.split(" ")[2]);
  return ([left, top]) => [x + left * scale, y + top * scale];
}

/** Drags from one point of the picture to another. */
export async function drag(page, from, to) {
  const at = await place(page);
  await page.mouse.move(...at(from));
  await page.mouse.down();
  await page.mouse.move(...at([(from[0] + to[0]) / 2, (from[1] + to[1]) / 2]));
  await page.mouse.move(...at(to));
  await page.mouse.up();
}

/** Path and box of each hit. */
export async function hitsOf(page) {
  await page.waitForFunction(() => {
    const cards = [...document.querySelectorAll("#hits .card")];
    return cards.length && cards.every((card) => card.querySelector("rect.hit"));
  });
  return page.$$eval("#hits .card", (cards) =>
    cards.map((card) => {
      const rect = card.querySelector("rect.hit");
      return {
        image: card.querySelector(".path").textContent.replace(/^\d+\. /, ""),
        box: ["x", "y", "width", "height"].map((name) => Number(rect.getAttribute(name))),
      };
    }),
  );
}

export function iou([x, y, w, h], [left, top, across, down]) {
  const over = (from, length, start, side) => Math.max(0, Math.min(from + length, start + side) - Math.max(from, start));
  const both = over(x, w, left, across) * over(y, h, top, down);
  return both / (w * h + across * down - both);
}
