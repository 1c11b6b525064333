// What makes the page more convenient; none of it is needed.

import { start as startCopy } from "./copy.js";
import { start as startDrops } from "./drops.js";
import { start as startExport } from "./export.js";
import { start as startKeys } from "./keys.js";
import { start as startNews } from "./news.js";
import { start as startRows } from "./rows.js";
import { start as startTimeline } from "./timeline.js";
import { start as startZone } from "./zone.js";

for (const start of [startZone, startRows, startDrops, startKeys, startCopy, startTimeline, startNews, startExport]) {
  try {
    start(document);
  } catch (error) {
    // One part that fails must not take the others with it.
    console.error(error);
  }
}
