import type { LearnedLimits } from './case-content';
import type { RecordResult } from './verdicts';

/** A field of another type than was thought is sent once more as a number, a field that is too long is cut. */
const NUMBER_TYPES = new Set(['integer', 'double', 'bigint', 'long', 'decimal', 'number']);

/** What Zoho has told about its fields in errors; it ends with the process. */
export class Lessons implements LearnedLimits {
  readonly lengths = new Map<string, number>();
  readonly types = new Map<string, string>();

  /** Learns from a refused record. True when there was something new, so that trying once more makes sense. */
  learn({ code, details }: RecordResult): boolean {
    const name = details['api_name'];
    if (code !== 'INVALID_DATA' || typeof name !== 'string') return false;
    const most = Number(details['maximum_length']);
    const known = this.lengths.get(name) ?? Number.POSITIVE_INFINITY;
    if (most >= 2 && most < known) {
      this.lengths.set(name, most);
      return true;
    }
    const told = String(details['expected_data_type'] ?? '').toLowerCase();
    const type = NUMBER_TYPES.has(told) ? 'integer' : told;
    if (type === '' || this.types.get(name) === type) return false;
    this.types.set(name, type);
    return true;
  }
}
