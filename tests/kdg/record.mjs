// Records what the Kinesis Data Generator itself makes: its own faker.js (faker.js 3.1.0 with changes) and the moment.js
// that its page loads. Writes recorded.json beside this file, which the tests compare ours with. Names, addresses and
// other words are not recorded, as ours come from the library Faker. Needs Node 20 and, outside of the repository:
//
//   git clone https://github.com/awslabs/amazon-kinesis-data-generator /tmp/kdg
//   git -C /tmp/kdg checkout 80b2ac3
//   npm install --prefix /tmp/kdg moment@2.17.1      # as web/producer.html names it
//   node tests/kdg/record.mjs /tmp/kdg
//
// Chance is replaced by the sequence of `uniform`, which the tests compute too, and the present by NOW.

import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [kdg] = process.argv.slice(2).map((path) => resolve(path));
const here = import.meta.dirname;
const NOW = 1790000000123; // 2026-09-21T14:13:20.123Z
const require = createRequire(join(kdg, "package.json"));
const realMoment = require("moment");

let state = 1;
const uniform = () => (state = (state * 48271) % 2147483647) / 2147483647;
const restart = () => (state = 42);

const source = readFileSync(join(kdg, "web/js/faker.js"), "utf8")
  .replaceAll("gen.genrand_real2()", "uniform()")
  .replaceAll("Math.random()", "uniform()")
  .replaceAll("new Date()", "new Date(NOW)");
const loaded = { exports: {} };
new Function("module", "exports", "moment", "uniform", "NOW", source)(
  loaded, loaded.exports, (...given) => realMoment(...(given.length ? given : [NOW])), uniform, NOW);
const faker = loaded.exports;
faker.simTime = realMoment(NOW);

// As web/js/producer.js reads a template
const cleaning = '.trim().replace(/\\n/g, "").replace("{{current.timestamp}}", "{{date.now}}")';
if (!readFileSync(join(kdg, "web/js/producer.js"), "utf8").includes(cleaning)) throw new Error("KDG cleans otherwise");
const clean = (template) => template.trim().replace(/\n/g, "").replace("{{current.timestamp}}", "{{date.now}}");

function attempts(template, count) {
  restart();
  try {
    return Array.from({ length: count }, () => faker.fake(clean(template)));
  } catch (error) {
    return { error: error.message };
  }
}

// ---- helpers that are compared value by value -----------------------------------------------------------------------
const MODULES = ["random", "helpers", "name", "address", "company", "finance", "image", "lorem", "hacker", "internet",
  "phone", "date", "commerce", "system"];
const NAMES = MODULES.flatMap((module) => Object.keys(faker[module]).map((method) => `${module}.${method}`));
const COMPARED = [
  "random.number", "random.arrayElement", "random.weightedArrayElement", "random.objectElement", "random.uuid",
  "random.boolean", "random.alphaNumeric", "helpers.randomize", "helpers.slugify", "helpers.replaceSymbolWithNumber",
  "helpers.replaceSymbols", "helpers.shuffle", "address.state", "address.latitude", "address.longitude",
  "finance.account", "finance.mask", "finance.amount", "internet.ip", "internet.protocol", "internet.session",
  "date.past", "date.future", "date.recent", "date.month", "date.weekday", "date.now", "date.utc", "date.simTime",
  "commerce.price", "system.semver",
];
// All others give their own name, and draw nothing, unless they only fill the form that they are given
for (const name of NAMES.filter((name) => !COMPARED.includes(name))) {
  const [module, method] = name.split(".");
  const original = faker[module][method];
  faker[module][method] = (argument) => (String(argument).includes("#") ? original(argument) : name);
}

// ---- moment's formats -----------------------------------------------------------------------------------------------
const FORMATS = [
  "M", "Mo", "MM", "MMM", "MMMM", "Q", "Qo", "D", "Do", "DD", "DDD", "DDDo", "DDDD", "d", "do", "dd", "ddd", "dddd",
  "e", "E", "w", "wo", "ww", "W", "Wo", "WW", "Y", "YY", "YYY", "YYYY", "YYYYY", "YYYYYY", "gg", "gggg", "ggggg", "GG",
  "GGGG", "GGGGG", "g", "G", "A", "a", "H", "HH", "h", "hh", "k", "kk", "m", "mm", "s", "ss", "S", "SS", "SSS", "SSSS",
  "SSSSS", "SSSSSS", "SSSSSSS", "SSSSSSSS", "SSSSSSSSS", "SSSSSSSSSS", "Z", "ZZ", "z", "zz", "X", "x", "hmm", "hmmss",
  "Hmm", "Hmmss", "LT", "LTS", "L", "LL", "LLL", "LLLL", "l", "ll", "lll", "llll", "LLLLL", "lllll",
  "YYYY-MM-DDTHH:mm:ss.SSS", "YYYY-MM-DDTHH:mm:ss.SSSSSS", "YYYY-MM-DDTHH:mm:ss.SSS[Z]", "dddd, MMMM Do YYYY, h:mm:ss a",
  "ddd, hA", "DD/MMM/YYYY:HH:mm:ss Z", "YYYYMMDDHHmmss", "[at] H [o'clock]", "[DD] DD", "[[x] x", "[] D", "[unclosed DD",
  "\\D D", "\\[D]", "\\\\D", "[L] L", "\\L L", "'YYYY'", "iso", "FJ N y u b", "DDDDo", "dddddd", "MMMMM", "W|w|", "é DD ü",
  "hh:mm:ss A zz", "YYYY年M月D日", " ", "%d %s",
];
const TIMES = [NOW, 1767225599999, 1767225600000, 1704067200045, 1709208000007, 1798718400500, 1774772999048, 1793519999900,
  915148800001, 1735603200000];
const ZONES = ["UTC", "America/New_York", "Asia/Kolkata", "Europe/London"];
const moments = ZONES.flatMap((zone) => {
  process.env.TZ = zone;
  return TIMES.map((time) => ({
    zone, time, now: FORMATS.map((format) => realMoment(time).format(format)),
    utc: zone === "UTC" ? FORMATS.map((format) => realMoment(time).utc().format(format)) : null,
    plain: [realMoment(time).format(), realMoment(time).utc().format()],
  }));
});
process.env.TZ = "UTC";

// ---- helpers --------------------------------------------------------------------------------------------------------
const WITH_ARGUMENTS = [
  "random.number(0)", "random.number(1.5)", "random.number(70)", "random.number(-3)", "random.number({})",
  "random.number(null)", 'random.number({"min":0,"max":1,"precision":0.00001})',
  'random.number({"min":10,"max":10.5,"precision":0.01})', 'random.number({"min":0.5,"max":10})',
  'random.number({"min":1.5})', 'random.number({"min":-10,"max":-5})', 'random.number({"min":-5,"max":-5})',
  'random.number({"min":-1,"max":1})', 'random.number({"min":10,"max":5})', 'random.number({"min":0,"max":1,"precision":0.25})',
  'random.number({"min":0,"max":100,"precision":7})', 'random.number({"max":0.000001,"precision":0.0000001})',
  'random.number({"min":1e20,"max":1e22,"precision":1e19})', 'random.number({"min":-74.1,"max":-73.9,"precision":0.0001})',
  'random.number({"min":1700000000000,"max":1800000000000})', 'random.number({"min":9007199254740991,"max":90071992547409910})',
  'random.number({"mean":9})', 'random.number({"min":1,"max":3,"precision":1.0})', "random.number.float(9)",
  'random.number({"max":9}).toFixed(2)', "random.number(abc)", "random.number(1,10)", 'random.number({"min":"1","max":"9"})',
  'random.number({"max":9,"precision":0})', "random.number(true)", "random.number()", " random.number ",
  'random.arrayElement(["a","b c",1,2.50,1e21,1e-7,true,null,[1,[2,"x"]],[]])', "random.arrayElement([])",
  "random.arrayElement(OK,FAIL)", 'random.arrayElement([{"a":1}])', "random.arrayElement(['a','b'])",
  'random.weightedArrayElement({"weights":[0.2,0.3,0.5],"data":["cat",7,true]})',
  'random.weightedArrayElement({"weights":[2,6],"data":["a","b","never"]})',
  'random.weightedArrayElement({"weights":[1,2,3],"data":["a","b"]})',
  'random.weightedArrayElement({"weights":[0.001,0.001],"data":["a","b"]})',
  'random.objectElement({"a":1,"b":"two"})',
  'helpers.randomize(["x","y"])', "helpers.shuffle([1,2,3,4,5])", "helpers.replaceSymbolWithNumber(A-###)", "helpers.replaceSymbols(??-##)",
  "helpers.slugify(a b/c)", "address.zipCode(##-###)", "finance.account(12)", "finance.mask(6)", "finance.amount(995)",
  "finance.amount(1,10,2)", "phone.phoneNumber(+1 ###-####)",
  "date.past(2)", "date.future(2)", "date.recent(7)", 'date.month({"abbr":true})',
  'date.weekday({"abbr":true})', "date.now(YYYY-MM-DD)", 'date.now("YYYY-MM-DD")',
  "date.utc(YYYY-MM-DDTHH:mm:ss.SSS)", "date.utc('YYYY')", 'date.utc("")', 'date.simTime("X")', "date.utc(2020)",
  "date.utc.iso", "commerce.price(500)", "commerce.price(-1)",
  "datatype.number", "random.float", "current.timestamp",
];
const helpers = Object.fromEntries([...COMPARED, ...WITH_ARGUMENTS].map((call) => [call, attempts(`{{${call}}}`, 6)]));

// ---- templates ------------------------------------------------------------------------------------------------------
const folder = (path, end) => readdirSync(join(here, path)).filter((file) => file.endsWith(end)).sort()
  .map((file) => [file, attempts(readFileSync(join(here, path, file), "utf8"), 4)]);
const refused = readFileSync(join(here, "../cases/templates/cases.toml"), "utf8").split("[[case]]")
  .filter((entry) => entry.includes("\nerror = ")).map((entry) => /file = "(.*)"/.exec(entry)[1]);
const templates = Object.fromEntries([
  ...folder("../cases/templates", ".template").filter(([file]) => !refused.includes(file)),
  ...folder("../../include/kdg", ".template.json")]);

const recorded = {
  versions: { kdg: "awslabs/amazon-kinesis-data-generator@80b2ac3", faker: "3.1.0, as KDG changed it", moment: realMoment.version },
  now: NOW, formats: FORMATS, moments, names: NAMES, compared: COMPARED, helpers, templates,
};
const compact = (value) => JSON.stringify(value);
const blocks = Object.entries(recorded).map(([key, value]) => {
  if (key === "moments") return `"moments": [\n${value.map(compact).join(",\n")}\n]`;
  if (key === "helpers" || key === "templates") {
    return `${compact(key)}: {\n${Object.entries(value).map(([k, v]) => `${compact(k)}: ${compact(v)}`).join(",\n")}\n}`;
  }
  return `${compact(key)}: ${compact(value)}`;
});
writeFileSync(join(here, "recorded.json"), `{\n${blocks.join(",\n")}\n}\n`);
