// MicroPython 1.24.1, its WebAssembly port, in the place of the unix port for stock_board.py: PORT PROGRAM IMAGE ... [code].
// IMAGE is JSON, {path: octets in base64, null for a folder}, and is written before anybody hears what was printed.

import fs from "fs";

const [port, program, image, ...rest] = process.argv.slice(2);
const { loadMicroPython } = await import(port);
const DISK = "/disk";
let said = [];

function stored(folder, into = {}) {
    for (const name of python.FS.readdir(DISK + folder).filter((name) => name != "." && name != "..")) {
        const path = folder + "/" + name;
        const there = python.FS.isDir(python.FS.stat(DISK + path).mode);
        into[path] = there ? null : Buffer.from(python.FS.readFile(DISK + path)).toString("base64");
        if (there) stored(path, into);
    }
    return into;
}

function flush() {
    if (!said.length) return;
    fs.writeFileSync(image, JSON.stringify(stored("")));
    for (let octets = Buffer.concat(said); octets.length; ) octets = octets.subarray(fs.writeSync(1, octets));
    said = [];
}

const typed = Buffer.alloc(1);
const python = await loadMicroPython({
    heapsize: 4 << 20,
    linebuffer: false,
    stdout: (octets) => said.push(Buffer.from(octets)),
    stdin: () => {
        flush();
        return fs.readSync(0, typed, 0, 1) ? typed[0] : null;
    },
});
python.registerJsModule("socket", {}); // it has none
python.FS.mkdir(DISK);
for (const [path, octets] of Object.entries(JSON.parse(fs.readFileSync(image)))) {
    if (octets === null) python.FS.mkdir(DISK + path);
    else python.FS.writeFile(DISK + path, Buffer.from(octets, "base64"));
}
if (rest.length > 3) python.FS.writeFile("/code", fs.readFileSync(rest[3]));
const argv = [program, image, ...rest.slice(0, 3), ...(rest.length > 3 ? ["/code"] : [])];
let status = 0;
try {
    python.runPython(`import sys\nsys.argv[:] = ${JSON.stringify(argv)}`);
    python.runPython(fs.readFileSync(program, "utf8"));
} catch (error) {
    const ended = /SystemExit: (\d*)\s*$/.exec(error.message);
    if (!ended) console.error(error.message);
    status = ended ? Number(ended[1]) : 1;
}
said.push(Buffer.alloc(0));
flush();
process.exit(status);
