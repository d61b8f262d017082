// The data of one trace: columns of numbers, decoded once. A call is an index into them.

const decodeBase64 = (text) => {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
};

const inflate = async (bytes) => {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
};

// Numbers of 7-bit groups, lowest first. Sums of products, since they may exceed 32 bits.
const decodeVarints = (bytes, into) => {
  let at = 0;
  for (let i = 0; i < into.length; i++) {
    let byte = bytes[at++];
    let value = byte & 127;
    for (let factor = 128; byte > 127; factor *= 128) {
      byte = bytes[at++];
      value += (byte & 127) * factor;
    }
    into[i] = value;
  }
  return into;
};

// Differences with the sign in the lowest bit -> running sums.
const accumulate = (values) => {
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    sum += value % 2 ? -(value + 1) / 2 : value / 2;
    values[i] = sum;
  }
  return values;
};

class Trace {
  static async load(number, facts) {
    const script = document.getElementById(`columns-${number}`);
    const bytes = decodeBase64(script.textContent);
    script.remove();
    const trace = new Trace(number, facts, bytes);
    const n = facts.kept;
    const column = async (name, array) => decodeVarints(await trace.part(name), array);
    trace.start = accumulate(await column("start", new Float64Array(n)));
    trace.duration = await column("duration", new Float64Array(n));
    trace.fn = await column("function", new Uint32Array(n));
    trace.depth = await column("depth", new Uint32Array(n));
    trace.state = await column("state", new Uint8Array(n));
    trace.caller = await column("caller", new Uint32Array(n));
    trace.thread = await column("thread", new Uint32Array(n));
    trace.row = accumulate(await column("row", new Float64Array(n)));
    trace.arrange();
    return trace;
  }

  constructor(number, facts, bytes) {
    this.number = number;
    this.facts = facts;
    this.bytes = bytes;
    this.functions = facts.functions;
    this.length = Math.max(facts.length_ns, 1);
  }

  part(name) {
    const [offset, size] = this.facts.columns[name];
    return inflate(this.bytes.subarray(offset, offset + size));
  }

  // Parents and subtree sizes, and for each depth of each track the calls in order of time: its lane.
  arrange() {
    const n = this.facts.kept;
    this.parent = new Int32Array(n).fill(-1);
    this.size = new Int32Array(n).fill(1);
    this.order = new Int32Array(n);
    this.busy = new Float64Array(n + 1);
    this.tracks = [];
    let first = 0;
    for (const facts of this.facts.tracks) {
      if (!facts.count) continue;
      this.tracks.push(this.arrangeTrack(facts, first, first + facts.count));
      first += facts.count;
    }
    for (let i = n - 1; i >= 0; i--) if (this.parent[i] >= 0) this.size[this.parent[i]] += this.size[i];
    for (let k = 0; k < n; k++) this.busy[k + 1] = this.busy[k] + this.duration[this.order[k]];
    this.end = 0;
    for (const track of this.tracks) this.end = Math.max(this.end, track.end);
    this.end = Math.max(this.end, this.length);
  }

  arrangeTrack(facts, first, last) {
    const open = [];
    const lanes = [];
    let end = 0;
    for (let i = first; i < last; i++) {
      const depth = this.depth[i];
      open.length = Math.min(depth, open.length);
      if (open.length) this.parent[i] = open[open.length - 1];
      open.push(i);
      const lane = open.length - 1;
      this.depth[i] = lane;
      lanes[lane] = (lanes[lane] || 0) + 1;
      if (lane === 0) end = Math.max(end, this.start[i] + this.duration[i]);
    }
    const bounds = [first];
    for (const size of lanes) bounds.push(bounds[bounds.length - 1] + size);
    const next = bounds.slice();
    for (let i = first; i < last; i++) {
      // Calls that were cut leave no holes: a caller lasts at least as long and is kept.
      this.order[next[this.depth[i]]++] = i;
    }
    return { facts, first, last, lanes: bounds, end, begin: this.start[first] };
  }

  trackOf(call) {
    let low = 0;
    let high = this.tracks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.tracks[middle].first <= call) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  // Position in `order`, within a lane's [low, high), of the first call that ends after `time`.
  seek(low, high, time) {
    while (low < high) {
      const middle = (low + high) >> 1;
      const call = this.order[middle];
      if (this.start[call] + this.duration[call] > time) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  stateOf(call) {
    return this.facts.states[this.state[call]];
  }

  selfTime(call) {
    let own = this.duration[call];
    const last = call + this.size[call];
    for (let child = call + 1; child < last; child += this.size[child]) own -= this.duration[child];
    return Math.max(own, 0);
  }

  children(call, most) {
    const found = [];
    const last = call + this.size[call];
    let total = 0;
    for (let child = call + 1; child < last; child += this.size[child]) {
      total++;
      if (found.length < most) found.push(child);
    }
    return [found, total];
  }

  // Arguments and results of a call, or null. Decoded when first asked for: most readers look at few.
  async values(call) {
    if (!this.facts.columns.values) return null;
    this.valueTable ??= this.loadValues();
    const { calls, ends, text } = await this.valueTable;
    let low = 0;
    let high = calls.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (calls[middle] < call) low = middle + 1;
      else high = middle;
    }
    if (calls[low] !== call) return null;
    const bytes = text.subarray(low ? ends[low - 1] : 0, ends[low]);
    return bytes.length ? new TextDecoder().decode(bytes) : null;
  }

  async loadValues() {
    const text = await this.part("values");
    const lengthBytes = await this.part("value_length");
    const callBytes = await this.part("value_call");
    const n = lengthBytes.reduce((sum, byte) => sum + (byte < 128 ? 1 : 0), 0);
    const ends = decodeVarints(lengthBytes, new Float64Array(n));
    const calls = decodeVarints(callBytes, new Float64Array(n));
    for (let i = 1; i < n; i++) {
      ends[i] += ends[i - 1];
      calls[i] += calls[i - 1];
    }
    return { calls, ends, text };
  }
}
