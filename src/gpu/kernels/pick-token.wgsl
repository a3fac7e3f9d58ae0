// The next token from logits. `greedy`: the largest logit. `sample`: softmax(logits / temperature) over the
// top_k largest, cut to the smallest set whose probability reaches top_p, drawn by the inverse of its
// running sum over ids with u = pcg3d(seed, count). Ties always go to the lower id.
// Then token <- id, ids[count] <- id, count <- count + 1, and the id counts as seen. Before all that, by the
// bits of rules[id]: 1 = never picked, 2 = seen: the logit is weakened by the repetition penalty. Where a logit
// that may be picked is NaN or +infinity, where all of those are -infinity, and where all logits have the same bits
// (two or more, picked or not), ids[count] <- -1, token <- 0, and no id counts as seen.
//
// Logits are compared through integer keys of the same order, so that a threshold is found exactly, bit by
// bit: set the highest bit that leaves enough above it, then the next. 32 rounds for a key.
//
// Grid: one workgroup of 256 invocations. Aliasing: no two tensors share memory. Ids from `vocabulary` on
// are never read; a full `ids` is not written.

struct Parameters {
  vocabulary: u32,
  capacity: u32,
  top_k: u32,
  seed_low: u32,
  seed_high: u32,
  temperature: f32,
  top_p: f32,
  penalty: f32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> token: array<i32>;
@group(0) @binding(3) var<storage, read_write> ids: array<i32>;
@group(0) @binding(4) var<storage, read_write> count: array<i32>;
@group(0) @binding(5) var<storage, read_write> rules: array<u32>;

const THREADS = 256u;
const GROUPS = 16u;
const NO_ID = 0xffffffffu;
const FORBIDDEN = 1u;
const SEEN = 2u;
// The key of -infinity; 0 is that of what is never picked.
const NEVER = 0x007fffffu;
// Below exp(-87) f32 has no normal number; such a token is never drawn.
const LEAST_EXPONENT = -87.0;

var<workgroup> words: array<u32, THREADS>;
var<workgroup> winners: array<u32, THREADS>;
var<workgroup> sums: array<f32, THREADS>;
var<workgroup> group_words: array<u32, GROUPS>;
var<workgroup> group_sums: array<f32, GROUPS>;
var<workgroup> broken: atomic<u32>;
var<workgroup> varied: atomic<u32>;

// What may still be drawn: keys above `key`, and of the keys equal to it the ids below `end`.
struct Kept {
  key: u32,
  end: u32,
}

fn ruled_logit(id: u32, rule: u32) -> f32 {
  let logit = logits[id];
  if ((rule & SEEN) == 0u || parameters.penalty == 1.0) {
    return logit;
  }
  return select(logit * parameters.penalty, logit / parameters.penalty, logit > 0.0);
}

fn key_of(id: u32) -> u32 {
  let rule = rules[id];
  if ((rule & FORBIDDEN) != 0u) {
    return 0u;
  }
  let bits = bitcast<u32>(ruled_logit(id, rule));
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return 0u;
  }
  if (magnitude == 0u) {
    return 0x80000000u;
  }
  return select(bits | 0x80000000u, ~bits, bits != magnitude);
}

// NaN or +infinity, by its bits: a compiler may take all floats for finite.
fn is_broken(id: u32) -> bool {
  let bits = bitcast<u32>(logits[id]);
  let is_number = (bits & 0x7fffffffu) < 0x7f800000u || bits == 0xff800000u;
  return !is_number && (rules[id] & FORBIDDEN) == 0u;
}

fn logit_of(key: u32) -> f32 {
  let bits = select(~key, key & 0x7fffffffu, key >= 0x80000000u);
  let magnitude = min(bits & 0x7fffffffu, 0x7f7fffffu);
  return bitcast<f32>((bits & 0x80000000u) | magnitude);
}

fn weight_of(key: u32, peak: f32) -> f32 {
  let exponent = (logit_of(key) - peak) / parameters.temperature;
  return select(0.0, exp(exponent), key > 0u && exponent > LEAST_EXPONENT);
}

fn is_kept(kept: Kept, key: u32, id: u32) -> bool {
  return key > kept.key || (key == kept.key && id < kept.end);
}

// The sum over the workgroup, in two levels of 16: fewer barriers than a tree, and always in the same order.
fn total_words(lane: u32, value: u32) -> u32 {
  words[lane] = value;
  workgroupBarrier();
  if (lane < GROUPS) {
    var sum = 0u;
    for (var n = 0u; n < GROUPS; n++) {
      sum += words[lane * GROUPS + n];
    }
    group_words[lane] = sum;
  }
  workgroupBarrier();
  if (lane == 0u) {
    var sum = 0u;
    for (var n = 0u; n < GROUPS; n++) {
      sum += group_words[n];
    }
    words[0] = sum;
  }
  return workgroupUniformLoad(&words[0]);
}

fn total_sum(lane: u32, value: f32) -> f32 {
  sums[lane] = value;
  workgroupBarrier();
  if (lane < GROUPS) {
    var sum = 0.0;
    for (var n = 0u; n < GROUPS; n++) {
      sum += sums[lane * GROUPS + n];
    }
    group_sums[lane] = sum;
  }
  workgroupBarrier();
  if (lane == 0u) {
    var sum = 0.0;
    for (var n = 0u; n < GROUPS; n++) {
      sum += group_sums[n];
    }
    sums[0] = sum;
  }
  return workgroupUniformLoad(&sums[0]);
}

// Keys of at least `key`.
fn count_from(lane: u32, key: u32) -> u32 {
  var found = 0u;
  for (var id = lane; id < parameters.vocabulary; id += THREADS) {
    found += u32(key_of(id) >= key);
  }
  return total_words(lane, found);
}

// Weight of what is kept and has a key of at least `key`.
fn weight_from(lane: u32, kept: Kept, key: u32, peak: f32) -> f32 {
  var sum = 0.0;
  for (var id = lane; id < parameters.vocabulary; id += THREADS) {
    let own = key_of(id);
    if (own >= key && is_kept(kept, own, id)) {
      sum += weight_of(own, peak);
    }
  }
  return total_sum(lane, sum);
}

// The end of the `wanted` lowest ids whose key is `key`.
fn end_of_ties(lane: u32, key: u32, wanted: u32) -> u32 {
  var end = 0u;
  for (var bit = 1u << (firstLeadingBit(parameters.vocabulary)); bit > 0u; bit /= 2u) {
    let candidate = end | bit;
    var found = 0u;
    for (var id = lane; id < min(candidate, parameters.vocabulary); id += THREADS) {
      found += u32(key_of(id) == key);
    }
    if (total_words(lane, found) <= wanted) {
      end = candidate;
    }
  }
  return end;
}

fn keep_top_k(lane: u32) -> Kept {
  let wanted = parameters.top_k;
  if (wanted == 0u || wanted >= parameters.vocabulary) {
    return Kept(0u, NO_ID);
  }
  var key = 0u;
  for (var bit = 0x80000000u; bit > 0u; bit /= 2u) {
    if (count_from(lane, key | bit) >= wanted) {
      key |= bit;
    }
  }
  let above = count_from(lane, key + 1u);
  return Kept(key, end_of_ties(lane, key, wanted - above));
}

fn keep_top_p(lane: u32, kept: Kept, peak: f32) -> Kept {
  if (parameters.top_p >= 1.0) {
    return kept;
  }
  let goal = parameters.top_p * weight_from(lane, kept, 0u, peak);
  var key = 0u;
  for (var bit = 0x80000000u; bit > 0u; bit /= 2u) {
    if (weight_from(lane, kept, key | bit, peak) >= goal) {
      key |= bit;
    }
  }
  let missing = goal - weight_from(lane, kept, key + 1u, peak);
  let wanted = max(1u, u32(ceil(missing / weight_of(key, peak))));
  let end = end_of_ties(lane, key, wanted);
  return Kept(key, select(end, min(end, kept.end), key == kept.key));
}

fn largest(lane: u32) -> u32 {
  var key = 0u;
  var winner = NO_ID;
  for (var id = lane; id < parameters.vocabulary; id += THREADS) {
    let own = key_of(id);
    if (own > key || winner == NO_ID) {
      key = own;
      winner = id;
    }
    if (is_broken(id)) {
      atomicStore(&broken, 1u);
    }
    if (bitcast<u32>(logits[id]) != bitcast<u32>(logits[0])) {
      atomicStore(&varied, 1u);
    }
  }
  words[lane] = key;
  winners[lane] = winner;
  workgroupBarrier();
  for (var reach = THREADS / 2u; reach > 0u; reach /= 2u) {
    if (lane < reach) {
      let other = lane + reach;
      let is_better = words[other] > words[lane] ||
        (words[other] == words[lane] && winners[other] < winners[lane]);
      if (is_better) {
        words[lane] = words[other];
        winners[lane] = winners[other];
      }
    }
    workgroupBarrier();
  }
  let are_same = parameters.vocabulary > 1u && atomicLoad(&varied) == 0u;
  if (lane == 0u && (words[0] <= NEVER || are_same)) {
    atomicStore(&broken, 1u);
  }
  return workgroupUniformLoad(&winners[0]);
}

fn mixed(word: u32) -> u32 {
  return word * 1664525u + 1013904223u;
}

fn crossed(v: vec3u) -> vec3u {
  let x = v.x + v.y * v.z;
  let y = v.y + v.z * x;
  return vec3u(x, y, v.z + x * y);
}

// pcg3d, https://jcgt.org/published/0009/03/02/; 24 bits in [0, 1).
fn uniform_number(counter: u32) -> f32 {
  let seed = vec3u(mixed(parameters.seed_low), mixed(parameters.seed_high), mixed(counter));
  let first = crossed(seed);
  return f32(crossed(first ^ (first >> vec3u(16u))).x >> 8u) * 0x1p-24;
}

// Each invocation sums a run of consecutive ids; the first one finds the run, then the id in it.
fn draw(lane: u32, kept: Kept, peak: f32) -> u32 {
  let length = (parameters.vocabulary + THREADS - 1u) / THREADS;
  var sum = 0.0;
  for (var id = lane * length; id < min((lane + 1u) * length, parameters.vocabulary); id++) {
    let key = key_of(id);
    if (is_kept(kept, key, id)) {
      sum += weight_of(key, peak);
    }
  }
  sums[lane] = sum;
  workgroupBarrier();
  if (lane == 0u) {
    winners[0] = find_drawn(length, kept, peak);
  }
  return workgroupUniformLoad(&winners[0]);
}

fn find_drawn(length: u32, kept: Kept, peak: f32) -> u32 {
  var total = 0.0;
  for (var run = 0u; run < THREADS; run++) {
    total += sums[run];
  }
  let goal = uniform_number(u32(count[0])) * total;
  var before = 0.0;
  var drawn_run = 0u;
  var passed = 0.0;
  for (var run = 0u; run < THREADS; run++) {
    if (sums[run] > 0.0) {
      drawn_run = run;
      passed = before;
      before += sums[run];
      if (before > goal) {
        break;
      }
    }
  }
  var drawn = 0u;
  let end = min((drawn_run + 1u) * length, parameters.vocabulary);
  for (var id = drawn_run * length; id < end; id++) {
    let key = key_of(id);
    let weight = weight_of(key, peak);
    if (is_kept(kept, key, id) && weight > 0.0) {
      drawn = id;
      passed += weight;
      if (passed > goal) {
        break;
      }
    }
  }
  return drawn;
}

fn store(lane: u32, id: u32) {
  if (lane != 0u) {
    return;
  }
  let is_whole = atomicLoad(&broken) == 0u;
  token[0] = select(0, i32(id), is_whole);
  let picked = u32(count[0]);
  if (picked < parameters.capacity) {
    ids[picked] = select(-1, i32(id), is_whole);
  }
  count[0] = i32(picked + 1u);
  if (is_whole) {
    rules[id] |= SEEN;
  }
}

@compute @workgroup_size(256)
fn greedy(@builtin(local_invocation_index) lane: u32) {
  store(lane, largest(lane));
}

@compute @workgroup_size(256)
fn sample(@builtin(local_invocation_index) lane: u32) {
  let peak = logit_of(key_of(largest(lane)));
  let kept = keep_top_p(lane, keep_top_k(lane), peak);
  store(lane, draw(lane, kept, peak));
}
