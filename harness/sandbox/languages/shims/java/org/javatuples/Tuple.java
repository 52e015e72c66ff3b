// The tuples of javatuples that tests use, written for this project: values in order, equal where all of them are.
package org.javatuples;

import java.util.Arrays;
import java.util.Iterator;
import java.util.List;

public abstract class Tuple implements Iterable<Object>, Comparable<Tuple>, java.io.Serializable {
    private final List<Object> values;

    Tuple(Object... values) { this.values = Arrays.asList(values); }

    public final int getSize() { return values.size(); }
    public final Object getValue(int at) { return values.get(at); }
    public final boolean contains(Object value) { return values.contains(value); }
    public final List<Object> toList() { return new java.util.ArrayList<>(values); }
    public final Object[] toArray() { return values.toArray(); }
    public final Iterator<Object> iterator() { return values.iterator(); }

    @SuppressWarnings("unchecked")
    public final int compareTo(Tuple other) {
        for (int at = 0; at < Math.min(getSize(), other.getSize()); at++) {
            int order = ((Comparable<Object>) values.get(at)).compareTo(other.values.get(at));
            if (order != 0) return order;
        }
        return getSize() - other.getSize();
    }

    @Override public final boolean equals(Object other) {
        return other != null && getClass() == other.getClass() && values.equals(((Tuple) other).values);
    }
    @Override public final int hashCode() { return 31 + values.hashCode(); }
    @Override public final String toString() { return values.toString(); }
}
