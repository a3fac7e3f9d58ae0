import { describe, expect, test } from "vitest";
import {
  layOut,
  pictureBias,
  ropeRows,
  slotBias,
} from "../../../../src/models/transfusion/layout.ts";

const TEXT = { isPicture: false, slots: 2 };
const PICTURE = { isPicture: true, slots: 3 };

describe("layOut", () => {
  test("gives a picture one position, and lets each of its slots see all of it", () => {
    const layout = layOut([TEXT, PICTURE, TEXT], { length: 0, next: 0 });
    expect(layout.positions).toEqual([0, 1, 2, 2, 2, 3, 4]);
    expect(layout.ends).toEqual([1, 2, 5, 5, 5, 6, 7]);
    expect([...layout.pictures]).toEqual([0, 0, 1, 1, 1, 0, 0]);
    expect(layout).toMatchObject({ length: 7, next: 5 });
  });

  test("goes on behind what is there", () => {
    const whole = layOut([TEXT, PICTURE, TEXT], { length: 0, next: 0 });
    const first = layOut([TEXT, PICTURE], { length: 0, next: 0 });
    const second = layOut([TEXT], first);
    expect([...first.positions, ...second.positions]).toEqual(whole.positions);
    expect([...first.ends, ...second.ends]).toEqual(whole.ends);
    expect(second).toMatchObject({ length: whole.length, next: whole.next });
  });
});

test("slotBias hides what a slot does not see", () => {
  const bias = slotBias(layOut([TEXT], { length: 1, next: 1 }), 4);
  expect(Array.from(bias, (value) => value < 0)).toEqual([
    false,
    false,
    true,
    true,
    false,
    false,
    false,
    true,
  ]);
});

test("pictureBias hides the empty end of each cache", () => {
  const bias = pictureBias([1, 3], 3, 2);
  expect(Array.from(bias, (value) => value < 0)).toEqual([
    false,
    true,
    true,
    false,
    false,
    false,
    false,
    false,
    false,
    false,
  ]);
});

test("ropeRows is cos and sin of position times frequency", () => {
  const { cos, sin } = ropeRows(4, [0, 3]);
  expect(cos[0]).toBe(1);
  expect(cos[2]).toBeCloseTo(Math.cos(3), 6);
  expect(sin[3]).toBeCloseTo(Math.sin(0.03), 6);
});
