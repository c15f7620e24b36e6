/**
 * Finds the second copies of what arrives on two connections at once. It counts rather than remembers: what arrives
 * twice on one connection is two things, and of each the other connection has a copy.
 */
export class Twins {
  /** For each content, how many more copies of it each connection has delivered than the other one has so far. */
  private readonly surplus = new Map<string, Map<number, number>>();

  /** Whether this is the copy of something that another connection has delivered. Otherwise it is remembered. */
  isTwin(content: string, connection: number): boolean {
    let byConnection = this.surplus.get(content);
    if (!byConnection) {
      byConnection = new Map();
      this.surplus.set(content, byConnection);
    }
    for (const [other, count] of byConnection) {
      if (other === connection) continue;
      if (count > 1) byConnection.set(other, count - 1);
      else byConnection.delete(other);
      return true;
    }
    byConnection.set(connection, (byConnection.get(connection) ?? 0) + 1);
    return false;
  }

  /** Forgets everything: only one connection is left. Costs nothing when there is nothing to forget. */
  clear(): void {
    if (this.surplus.size > 0) this.surplus.clear();
  }
}
