//! The rates of the last minute as a small curve.

import { SAMPLES_MAX } from "../limits";
import { second } from "../model/beat";

interface Props {
  readonly values: readonly number[];
  readonly width: number;
  readonly height: number;
}

export const Spark = ({ values, width, height }: Props) => {
  second.value;
  const most = Math.max(1, ...values);
  const step = width / (SAMPLES_MAX - 1);
  const left = width - (values.length - 1) * step;
  const points = values.map((value, i) => {
    const x = (left + i * step).toFixed(1);
    return `${x} ${(height - 1 - (value / most) * (height - 2)).toFixed(1)}`;
  });
  const line = points.length > 1 ? `M${points.join("L")}` : "";
  return (
    <svg class="spark" viewBox={`0 0 ${width} ${height}`} width={width} height={height} aria-hidden="true">
      <path class="ground" d={`M0 ${height - 0.5}H${width}`} />
      {line ? <path class="area" d={`${line}L${width} ${height}L${left.toFixed(1)} ${height}Z`} /> : null}
      {line ? <path class="line" d={line} /> : null}
    </svg>
  );
};
