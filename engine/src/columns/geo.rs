//! Which documents are within a distance of a point?
//!
//! A point is kept as two numbers of 32 bits (about a centimetre at the equator) whose bits
//! alternate: its place on a Z-order curve. A square of the curve's grid is one run of places, so a
//! circle becomes a few runs that cover its bounding box. The distance of a candidate is calculated unless its whole
//! square is in the circle. Distances are great circles on a sphere of the radius that Redis's GEO commands use.

use super::Run;
use crate::limits::{MAX_LATITUDE, MAX_LONGITUDE};
use crate::segment::DocId;

/// The radius of the earth in metres, as in `geohash_helper.c` of Redis.
pub const EARTH_RADIUS: f64 = 6_372_797.560_856;

/// Stands for a missing point; no point has it, since latitudes end before the pole.
pub const NO_POINT: u64 = u64::MAX;

const SPAN: f64 = 4_294_967_296.0;

/// The place of a point on the curve. Coordinates outside the globe are moved to its edge; the
/// document's parser refuses them before.
pub fn encode(longitude: f64, latitude: f64) -> u64 {
    let x = (longitude.clamp(-MAX_LONGITUDE, MAX_LONGITUDE) + 180.0) / 360.0 * SPAN;
    let y = (latitude.clamp(-MAX_LATITUDE, MAX_LATITUDE) + 90.0) / 180.0 * SPAN;
    interleave(x as u32, y as u32)
}

/// The point in the middle of a place: `(longitude, latitude)`.
pub fn decode(code: u64) -> (f64, f64) {
    let longitude = (f64::from(compact(code)) + 0.5) / SPAN * 360.0 - 180.0;
    let latitude = (f64::from(compact(code >> 1)) + 0.5) / SPAN * 180.0 - 90.0;
    (longitude, latitude)
}

/// Metres between two points.
pub fn distance(a: (f64, f64), b: (f64, f64)) -> f64 {
    2.0 * EARTH_RADIUS * haversine(a, b).sqrt().min(1.0).asin()
}

/// The square of the sine of half the angle between two points.
fn haversine((a_lon, a_lat): (f64, f64), (b_lon, b_lat): (f64, f64)) -> f64 {
    let (a_lat, b_lat) = (a_lat.to_radians(), b_lat.to_radians());
    let u = ((b_lat - a_lat) / 2.0).sin();
    let v = ((b_lon - a_lon).to_radians() / 2.0).sin();
    u * u + a_lat.cos() * b_lat.cos() * v * v
}

fn interleave(x: u32, y: u32) -> u64 {
    spread(x) | spread(y) << 1
}

fn spread(value: u32) -> u64 {
    let mut value = u64::from(value);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        value = (value | value << shift) & mask;
    }
    value
}

fn compact(value: u64) -> u32 {
    let mut value = value & 0x5555_5555_5555_5555;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        value = (value | value >> shift) & mask;
    }
    value as u32
}

/// A circle on the globe.
#[derive(Debug, Clone, Copy)]
pub struct Circle {
    longitude: f64,
    latitude: f64,
    /// The haversine of the radius: what distances are compared as.
    limit: f64,
    radius: f64,
    /// Of the latitude.
    sine: f64,
    cosine: f64,
}

/// Half an angle, in radians, up to which a short series stands for its sine.
const NEAR: f64 = 0.35;

impl Circle {
    /// The points within `radius` metres, the edge included. A negative radius has none.
    pub fn new(longitude: f64, latitude: f64, radius: f64) -> Self {
        let half = (radius / (2.0 * EARTH_RADIUS)).min(std::f64::consts::FRAC_PI_2);
        let limit = if radius < 0.0 || radius.is_nan() { -1.0 } else { half.sin().powi(2) };
        let (sine, cosine) = latitude.to_radians().sin_cos();
        Self { longitude, latitude, limit, radius, sine, cosine }
    }

    /// Whether the point at a place is inside.
    #[inline]
    pub fn contains(&self, code: u64) -> bool {
        code != NO_POINT && {
            let point = decode(code);
            self.estimate(point).unwrap_or_else(|| haversine((self.longitude, self.latitude), point) <= self.limit)
        }
    }

    /// What can be said without trigonometry: `None` far away and near the edge, where that is not enough.
    #[inline]
    fn estimate(&self, (longitude, latitude): (f64, f64)) -> Option<bool> {
        let x = (latitude - self.latitude).to_radians() / 2.0;
        let y = (longitude - self.longitude).to_radians() / 2.0;
        if x.abs() > NEAR || y.abs() > NEAR {
            return None;
        }
        // The series is wrong by less than a seventh power over 5040, so by less than 4e-7 of the sine.
        let sine = |x: f64| x * (1.0 - x * x / 6.0 * (1.0 - x * x / 20.0));
        let (u, v) = (sine(x), sine(y));
        let cosine = self.cosine * (1.0 - 2.0 * u * u) - self.sine * 2.0 * u * (1.0 - u * u).sqrt();
        let estimate = u * u + self.cosine * cosine * v * v;
        // Twice what the errors above amount to.
        let error = 4e-6 * (u * u + v * v) + f64::MIN_POSITIVE;
        if estimate + error <= self.limit {
            Some(true)
        } else if estimate - error > self.limit {
            Some(false)
        } else {
            None
        }
    }

    /// Whether a whole square of side 2^`bits` is inside; it may be although this says no.
    fn holds(&self, (x, y): (u32, u32), bits: u32) -> bool {
        // A side is then at most a quarter of a parallel. Within half an eighth of the globe, which is as far as
        // estimates reach, no point of such a square is farther away than its farthest corner.
        let side = 1u64 << bits;
        bits <= 30
            && [(0, 0), (side, 0), (0, side), (side, side)].into_iter().all(|(right, up)| {
                let longitude = (u64::from(x) + right) as f64 / SPAN * 360.0 - 180.0;
                let latitude = (u64::from(y) + up) as f64 / SPAN * 180.0 - 90.0;
                self.estimate((longitude, latitude)) == Some(true)
            })
    }

    /// Runs of places, in order, that hold every point of the circle and some more; and whether all of a run is in the
    /// circle.
    fn cover(&self) -> Vec<(u64, u64, bool)> {
        if self.limit < 0.0 {
            return Vec::new();
        }
        // A hair wider, so that rounding loses nothing.
        let angle = self.radius / EARTH_RADIUS * (1.0 + 1e-9) + 1e-9;
        let (south, north) = (self.latitude - angle.to_degrees(), self.latitude + angle.to_degrees());
        let y = |latitude: f64| (latitude.clamp(-90.0, 90.0) + 90.0) / 180.0 * SPAN;
        let (low_y, high_y) = (y(south) as u32, y(north).min(SPAN - 1.0) as u32);
        let spread = (angle.sin() / self.latitude.to_radians().cos()).abs();
        let mut boxes = Vec::new();
        if south <= -90.0 || north >= 90.0 || spread >= 1.0 || angle >= std::f64::consts::FRAC_PI_2 {
            boxes.push((0, u32::MAX));
        } else {
            let width = spread.asin().to_degrees();
            let x = |longitude: f64| ((longitude + 180.0) / 360.0 * SPAN).clamp(0.0, SPAN - 1.0) as u32;
            let (west, east) = (self.longitude - width, self.longitude + width);
            boxes.push((x(west), x(east)));
            // Across the date line the rest is at the other end.
            if west < -180.0 {
                boxes.push((x(west + 360.0), u32::MAX));
            }
            if east > 180.0 {
                boxes.push((0, x(east - 360.0)));
            }
        }
        let mut runs = Vec::new();
        for (low_x, high_x) in boxes {
            let size = (high_x - low_x).max(high_y - low_y).max(1);
            // Squares of an eighth of the box: their excess is small and their number is.
            let smallest = (32 - size.leading_zeros()).saturating_sub(3);
            self.cover_square(&mut runs, (0, 0), 32, smallest, (low_x, high_x), (low_y, high_y));
        }
        runs.sort_unstable();
        let mut merged: Vec<(u64, u64, bool)> = Vec::new();
        for (start, end, certain) in runs {
            match merged.last_mut() {
                // Both boxes of a circle across the date line may have come to the same square.
                Some(last) if start <= last.1 => {
                    last.1 = last.1.max(end);
                    last.2 &= certain;
                }
                Some(last) if start == last.1 + 1 && last.2 == certain => last.1 = end,
                _ => merged.push((start, end, certain)),
            }
        }
        merged
    }

    /// Adds the runs of a square of side 2^`bits` at `corner` as far as it touches the box. The runs
    /// include their ends.
    fn cover_square(
        &self,
        runs: &mut Vec<(u64, u64, bool)>,
        corner: (u32, u32),
        bits: u32,
        smallest: u32,
        xs: (u32, u32),
        ys: (u32, u32),
    ) {
        let side = ((1u64 << bits) - 1) as u32;
        let (end_x, end_y) = (corner.0 + side, corner.1 + side);
        if end_x < xs.0 || corner.0 > xs.1 || end_y < ys.0 || corner.1 > ys.1 {
            return;
        }
        let certain = self.holds(corner, bits);
        if certain || bits <= smallest {
            runs.push((interleave(corner.0, corner.1), interleave(end_x, end_y), certain));
            return;
        }
        let half = 1u32 << (bits - 1);
        for (dx, dy) in [(0, 0), (half, 0), (0, half), (half, half)] {
            self.cover_square(runs, (corner.0 + dx, corner.1 + dy), bits - 1, smallest, xs, ys);
        }
    }
}

/// The points of one field by document.
#[derive(Debug)]
pub struct GeoColumn {
    pub(super) codes: Box<[u64]>,
    /// The documents that have a point, along the curve.
    pub(super) order: Box<[DocId]>,
}

impl GeoColumn {
    /// Makes a column of places by document; [`NO_POINT`] says that there is none.
    pub fn new(codes: Vec<u64>) -> Self {
        let mut order: Vec<DocId> = (0..codes.len() as DocId).filter(|&doc| codes[doc as usize] != NO_POINT).collect();
        order.sort_by_key(|&doc| codes[doc as usize]);
        Self { codes: codes.into_boxed_slice(), order: order.into_boxed_slice() }
    }

    /// A document's place, or [`NO_POINT`].
    #[inline]
    pub fn code(&self, doc: DocId) -> u64 {
        self.codes.get(doc as usize).copied().unwrap_or(NO_POINT)
    }

    /// Runs of documents that may be in the circle, and contain all that are.
    pub fn candidates(&self, circle: &Circle) -> Vec<Run<'_>> {
        let place = |code: u64| self.order.partition_point(|&doc| self.codes[doc as usize] < code);
        let runs = circle.cover().into_iter().map(|(start, end, certain)| {
            let (start, end) = (place(start), if end == u64::MAX { self.order.len() } else { place(end + 1) });
            Run { docs: &self.order[start..end], certain }
        });
        runs.filter(|run| !run.docs.is_empty()).collect()
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.codes.len() * size_of::<u64>() + self.order.len() * size_of::<DocId>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn point() -> impl Strategy<Value = (f64, f64)> {
        let near = (-0.02..0.02f64, -0.02..0.02f64).prop_map(|(x, y)| (2.35 + x, 48.85 + y));
        let date_line =
            (-1.0..1.0f64, -10.0..10.0f64).prop_map(|(x, y)| (if x < 0.0 { x + 180.0 } else { x - 180.0 }, y));
        prop_oneof![near, date_line, (-180.0..180.0f64, -85.0..85.0f64)]
    }

    proptest! {
        #[test]
        fn circles_hold_what_a_scan_finds(
            points in vec(point(), 0..80),
            centre in point(),
            radius in prop_oneof![0.0..3000.0f64, 0.0..2e6f64, 0.0..2.1e7f64, Just(-1.0)],
        ) {
            let codes: Vec<u64> = points.iter().map(|&(x, y)| encode(x, y)).collect();
            let column = GeoColumn::new(codes.clone());
            let circle = Circle::new(centre.0, centre.1, radius);
            let matching = |run: Run<'_>| -> Vec<DocId> {
                let matches = |&doc: &DocId| run.certain || circle.contains(column.code(doc));
                run.docs.iter().copied().filter(matches).collect()
            };
            let mut found: Vec<DocId> = column.candidates(&circle).into_iter().flat_map(matching).collect();
            found.sort_unstable();
            let expected: Vec<DocId> = (0..points.len() as DocId)
                .filter(|&doc| circle.contains(codes[doc as usize]))
                .collect();
            prop_assert_eq!(&found, &expected);
            for (doc, &point) in points.iter().enumerate() {
                let metres = distance(centre, point);
                if (metres - radius).abs() > 0.1 {
                    prop_assert_eq!(found.contains(&(doc as DocId)), metres < radius, "{} {}", metres, radius);
                }
            }
        }

        #[test]
        fn estimates_are_never_wrong(
            centre in point(),
            (x, y) in (-0.5..0.5f64, -0.5..0.5f64),
            scale in prop_oneof![Just(1e-5), Just(1e-3), Just(0.1), Just(10.0), Just(80.0)],
            near in -1e-5..1e-5f64,
        ) {
            let there = (centre.0 + x * scale, (centre.1 + y * scale).clamp(-85.0, 85.0));
            let there = decode(encode(there.0, there.1));
            // So that the point is hardly inside or hardly outside, or neither.
            for radius in [distance(centre, there) * (1.0 + near), distance(centre, there) * 1.1, 1000.0] {
                let circle = Circle::new(centre.0, centre.1, radius);
                if let Some(inside) = circle.estimate(there) {
                    prop_assert_eq!(inside, haversine(centre, there) <= circle.limit);
                }
            }
        }

        #[test]
        fn squares_that_are_held_are_inside(
            centre in point(),
            radius in prop_oneof![1.0..3000.0f64, 0.0..2e6f64, 0.0..2.1e7f64],
            (x, y) in (-1.2..1.2f64, -1.2..1.2f64),
            bits in 0u32..32,
            inner in vec((0.0..1.0f64, 0.0..1.0f64), 20),
        ) {
            let circle = Circle::new(centre.0, centre.1, radius);
            let degrees = (radius / EARTH_RADIUS).to_degrees();
            let near = encode(centre.0 + x * degrees, centre.1 + y * degrees);
            let mask = !(((1u64 << bits) - 1) as u32);
            let corner = (compact(near) & mask, compact(near >> 1) & mask);
            if circle.holds(corner, bits) {
                for (dx, dy) in inner {
                    let within = |share: f64| (share * ((1u64 << bits) - 1) as f64) as u32;
                    let code = interleave(corner.0 + within(dx), corner.1 + within(dy));
                    prop_assert!(circle.contains(code));
                    prop_assert!(distance(centre, decode(code)) <= radius * (1.0 + 1e-9));
                }
            }
        }

        #[test]
        fn a_point_keeps_its_place(x in -180.0..180.0f64, y in -85.0..85.0f64) {
            prop_assert!(distance((x, y), decode(encode(x, y))) < 0.02);
        }
    }

    #[test]
    fn known_distances() {
        let (paris, london) = ((2.3522, 48.8566), (-0.1276, 51.5072));
        assert!((distance(paris, london) - 343_700.0).abs() < 1_000.0);
    }
}
