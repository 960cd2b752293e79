// The page in a browser: `check.mjs URL PHOTOS [TOKEN_URL TOKEN]`. URL serves a collection with the motorcycles of PHOTOS,
// TOKEN_URL the same for who has the token. PICTURES is a folder for pictures of what was seen,
// ONLY a part of the names of checks to run.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { accessible, drag, fits, hitsOf, iou, launch, place, searched, withPage } from "./browser.mjs";

const [url, photos, tokenUrl, token] = process.argv.slice(2);
const { PICTURES } = process.env;

/** The engine of the motorcycle in the left picture; in the right one it is some 30 pixels or more to the left. */
const BOX = [300, 190, 170, 150];
const THERE = [270, 190, 170, 150];

const card = (page, name) => page.locator("#images").getByRole("button", { name, exact: true });
const copied = async (page, kind) => {
  await page.locator(`[data-copy=${kind}]`).click();
  await page.waitForFunction(() => document.getElementById("status").textContent.startsWith("Copied"));
  return page.evaluate(() => navigator.clipboard.readText());
};
const picture = async (page, name) => PICTURES && page.screenshot({ path: join(PICTURES, `${name}.png`) });
const drawn = (page) => drag(page, [BOX[0], BOX[1]], [BOX[0] + BOX[2], BOX[1] + BOX[3]]);
/** Whether the first other image is the right one, with the box where the engine is. */
function right(hits) {
  const other = hits.find((hit) => hit.image !== "motorcycle_left.png");
  assert.equal(other?.image, "motorcycle_right.png");
  assert.ok(iou(other.box, THERE) > 0.4, `the box is ${other.box}`);
}

const CHECKS = {
  async "a crop that is dragged is found in the other picture"(browser) {
    await withPage(browser, url, { options: { deviceScaleFactor: 2 } }, async (page) => {
      await card(page, "motorcycle_left.png").click();
      await drawn(page);
      await searched(page);
      right(await hitsOf(page));
      // Pointing at a hit shows its matches on both sides.
      await page.locator("#hits .card").nth(1).hover();
      const [asked, found] = [page.locator("#editor rect.match"), page.locator("#hits .card").nth(1).locator("rect.match")];
      await found.first().waitFor();
      assert.equal(await asked.count(), await found.count());
      assert.ok(await page.locator("#editor .heat").isVisible());
      await picture(page, "hits");
      // Copies.
      const answer = JSON.parse(await copied(page, "json"));
      const coco = JSON.parse(await copied(page, "coco"));
      assert.deepEqual(coco[0].bbox, answer.hits[0].box);
      assert.equal(coco[1].file_name, answer.hits[1].image);
      const command = spawnSync("sh", ["-c", `command -v curl >/dev/null || exit 9; ${await copied(page, "curl")}`], { encoding: "utf8" });
      if (command.status !== 9) assert.deepEqual(JSON.parse(command.stdout).hits[1].box, answer.hits[1].box);
      // A hit is opened, and asked in its turn.
      await page.locator("#hits .card button").nth(1).click();
      await page.locator("#viewer rect.hit").waitFor();
      await page.waitForFunction(() => document.querySelector("#viewer img")?.naturalWidth > 0);
      await picture(page, "viewer");
      await page.getByRole("button", { name: "Search from here" }).click();
      await page.locator("#picture", { hasText: "motorcycle_right.png" }).waitFor();
      await searched(page);
      assert.equal((await hitsOf(page))[0].image, "motorcycle_right.png");
    });
  },

  async "a link restores what is seen, and back takes a step back"(browser) {
    let link;
    let hits;
    await withPage(browser, url, {}, async (page, context) => {
      await card(page, "motorcycle_left.png").click();
      await drawn(page);
      await searched(page);
      hits = await hitsOf(page);
      link = await copied(page, "link");
      assert.equal(link, page.url());
      await page.goBack();
      await page.locator("#editor .box").waitFor({ state: "detached" });
      await page.goBack();
      await card(page, "motorcycle_left.png").waitFor();
      await page.goForward();
      await page.goForward();
      await searched(page);
      assert.deepEqual(await hitsOf(page), hits);
      const other = await context.newPage();
      await other.goto(link);
      await searched(other);
      assert.deepEqual(await hitsOf(other), hits);
      const [x, y, w, h] = BOX;
      const box = await other.locator("#editor .box").getAttribute("aria-label");
      assert.match(box, new RegExp(`${w} by ${h} pixels at ${x}, ${y}`));
      // Where the hits do not fill the screen, there are more of them.
      await other.goto("about:blank");
      await other.goto(`${link}&top=2`);
      await other.locator("#hits .card").nth(2).waitFor();
      assert.deepEqual((await hitsOf(other)).slice(0, 3), hits.slice(0, 3));
    });
  },

  async "it works with keys alone"(browser) {
    await withPage(browser, url, {}, async (page) => {
      const press = async (...keys) => {
        for (const key of keys) await page.keyboard.press(key);
      };
      const reach = async (text) => {
        for (let presses = 0; presses < 60; presses++) {
          await press("Tab");
          const named = await page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent);
          if (named.includes(text)) return;
        }
        assert.fail(`Tab does not lead to ${text}`);
      };
      await card(page, "motorcycle_left.png").waitFor();
      await reach("motorcycle_left.png");
      await press("Enter");
      await page.waitForFunction(() => document.activeElement.id === "add");
      await press("Enter");
      await page.locator("#editor .box:focus").waitFor();
      const outline = await page.locator("#editor .box").evaluate((box) => getComputedStyle(box).outlineStyle);
      assert.equal(outline, "solid");
      const label = () => page.locator("#editor .box").getAttribute("aria-label");
      const before = await label();
      for (let step = 0; step < 6; step++) await press("ArrowRight");
      for (let step = 0; step < 10; step++) await press("Shift+ArrowLeft");
      assert.notEqual(await label(), before);
      await searched(page);
      right(await hitsOf(page));
      await press("n");
      assert.match(await label(), /^Not this/);
      assert.match(page.url(), /[#&]not=/);
      await press("n");
      await searched(page);
      await reach("Hit 2");
      await press("Enter");
      await page.locator("#viewer rect.hit").waitFor();
      await press("ArrowRight");
      await page.locator("#viewer", { hasText: "Hit 3" }).waitFor();
      await press("Escape");
      await page.waitForFunction(() => document.activeElement.getAttribute("aria-label")?.startsWith("Hit 2"));
      await page.locator("#editor .box").focus();
      await press("Delete");
      await page.waitForFunction(() => document.activeElement.id === "add" && !document.querySelector("#editor .box"));
      // All the steps of the keys are two in the history: the box, and its last place.
      await page.goBack();
      await page.locator("#editor .box").waitFor();
    });
  },

  async "boxes are moved, pulled, and told apart"(browser) {
    await withPage(browser, url, {}, async (page) => {
      await card(page, "motorcycle_left.png").click();
      const boxes = () => page.$$eval("#editor .box", (all) => all.map((box) => box.getAttribute("aria-label")));
      await drawn(page);
      await drag(page, [380, 260], [400, 280]);
      assert.match((await boxes())[0], /170 by 150 pixels at 320, 210/);
      await drag(page, [490, 360], [520, 380]);
      assert.match((await boxes())[0], /200 by 170 pixels at 320, 210/);
      await page.getByRole("radio", { name: "not this" }).check();
      await drag(page, [100, 300], [200, 400]);
      assert.match((await boxes())[1], /^Not this, box 2: 100 by 100/);
      await searched(page);
      assert.match(page.url(), /boxes=320,210,200,170&not=100,300,100,100/);
      await page.getByRole("button", { name: "Remove box" }).click();
      assert.equal((await boxes()).length, 1);
      await page.getByRole("button", { name: "Switch kind" }).click();
      assert.match((await boxes())[0], /^Not this/);
    });
  },

  async "conditions and options choose, and what is wrong is said"(browser) {
    await withPage(browser, url, { expected: ["422"] }, async (page) => {
      await page.locator("#images .card").nth(2).waitFor();
      await page.getByLabel("Only images where").fill("image like 'motorcycle%'");
      await page.keyboard.press("Enter");
      await page.waitForFunction(() => {
        const paths = [...document.querySelectorAll("#images .path")].map((path) => path.textContent);
        return paths.length && paths.every((path) => path.startsWith("motorcycle"));
      });
      await page.getByLabel("Only images where").fill("nothing ==");
      await page.keyboard.press("Enter");
      await page.getByRole("alert").filter({ hasText: "cannot be meant so" }).waitFor();
      await page.getByLabel("Only images where").fill("");
      await page.keyboard.press("Enter");
      await card(page, "motorcycle_left.png").click();
      await page.getByText("Options").click();
      await page.getByRole("slider").fill("0.9");
      await page.getByLabel("nearly equal images as one hit").check();
      await drawn(page);
      await searched(page);
      const hits = await hitsOf(page);
      right(hits);
      assert.ok(hits.every((hit) => hit.image.startsWith("motorcycle")));
      assert.match(page.url(), /group_duplicates=1&min_probability=0.9/);
    });
  },

  async "a picture of one's own is asked, and the link says it cannot hold it"(browser) {
    await withPage(browser, url, {}, async (page) => {
      await card(page, "coffee.png").waitFor();
      const chooser = page.waitForEvent("filechooser");
      await page.getByRole("button", { name: "choose a file" }).click();
      await (await chooser).setFiles(join(photos, "motorcycle_left.png"));
      await page.locator("#editor .boxes").waitFor();
      await drawn(page);
      await searched(page);
      right(await hitsOf(page));
      assert.match(await copied(page, "curl"), /image=@"motorcycle_left.png"/);
      assert.doesNotMatch(await copied(page, "link"), /boxes|upload/);
      assert.match(await page.textContent("#status"), /cannot hold/);
      await page.reload();
      await page.getByRole("alert").filter({ hasText: "choose it again" }).waitFor();
    });
  },

  async "a narrow screen is wide enough, and a finger draws"(browser) {
    const options = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };
    await withPage(browser, url, { options }, async (page, context) => {
      await card(page, "motorcycle_left.png").waitFor();
      await fits(page, "the list");
      await card(page, "motorcycle_left.png").tap();
      const at = await place(page);
      const session = await context.newCDPSession(page);
      const touch = (type, points) =>
        session.send("Input.dispatchTouchEvent", { type, touchPoints: points.map(([x, y]) => ({ x, y })) });
      await touch("touchStart", [at([300, 190])]);
      await touch("touchMove", [at([400, 300])]);
      await touch("touchMove", [at([470, 340])]);
      await touch("touchEnd", []);
      await searched(page);
      right(await hitsOf(page));
      await fits(page, "the hits");
      await picture(page, "narrow");
      await accessible(page, "a narrow screen");
      await page.locator("#hits .card button").nth(1).tap();
      await page.locator("#viewer rect.hit").waitFor();
      await fits(page, "the viewer");
      await picture(page, "narrow-viewer");
    });
  },

  async "axe finds nothing in light or dark"(browser) {
    await withPage(browser, url, { options: { reducedMotion: "reduce" } }, async (page) => {
      const check = async (where) => {
        for (const colorScheme of ["light", "dark"]) {
          await page.emulateMedia({ colorScheme });
          await accessible(page, `${where}, ${colorScheme}`);
          await picture(page, `${where}-${colorScheme}`);
        }
      };
      await card(page, "motorcycle_left.png").waitFor();
      await check("list");
      await card(page, "motorcycle_left.png").click();
      await page.getByText("Options").click();
      await drawn(page);
      await searched(page);
      await hitsOf(page);
      await check("hits");
      await page.locator("#hits .card button").nth(1).click();
      await page.locator("#viewer rect.hit").waitFor();
      await check("viewer");
    });
  },

  async "a token is asked for, and kept in the tab only"(browser) {
    if (!tokenUrl) return;
    await withPage(browser, tokenUrl, { expected: ["401"] }, async (page) => {
      await page.locator("#token[open]").waitFor();
      await accessible(page, "the token");
      await page.getByRole("textbox", { name: "Token" }).fill("wrong");
      await page.keyboard.press("Enter");
      await page.locator("#token-problem", { hasText: "not the one" }).waitFor();
      await page.getByRole("textbox", { name: "Token" }).fill(token);
      await page.keyboard.press("Enter");
      await card(page, "coffee.png").waitFor();
      await page.waitForFunction(() => [...document.querySelectorAll("#images img")].every((img) => img.naturalWidth > 0));
      assert.equal(await page.evaluate(() => localStorage.length), 0);
      assert.equal(await page.evaluate(() => document.cookie), "");
      await page.reload();
      await card(page, "coffee.png").waitFor();
    });
  },
};

const only = process.env.ONLY ?? "";
const browser = await launch();
let failed = 0;
try {
  for (const [name, check] of Object.entries(CHECKS).filter(([name]) => name.includes(only))) {
    const start = performance.now();
    try {
      await check(browser);
      console.log(`ok       ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed += 1;
      console.log(`failed   ${name}: ${error.stack}`);
    }
  }
} finally {
  await browser.close();
}
process.exitCode = failed ? 1 : 0;
