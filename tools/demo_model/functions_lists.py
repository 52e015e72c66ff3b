"""Short functions on lists for the corpus, in the layout of `tasks.demo.functions_numbers`. Data only."""

TABLE = r"""
sum_list total add_all (ints) -> int
  Return the sum of all numbers in $1.
  Add up the elements of $1.
    return sum($1)

product multiply_all (ints) -> int
  Return the product of all numbers in $1.
  Multiply the elements of $1 together.
    result = 1
    for x in $1:
        result *= x
    return result

sum_and_product total_and_product (ints) -> tuple[int, int]
  Return a tuple of the sum and the product of the numbers in $1.
  Compute both the sum and the product of $1.
    total, product = 0, 1
    for x in $1:
        total += x
        product *= x
    return (total, product)

mean average (some) -> float
  Return the mean of the numbers in $1.
  Compute the average of the list $1.
    return sum($1) / len($1)

median middle_value (some) -> float
  Return the median of the numbers in $1.
  Return the middle of the sorted list $1, or the mean of the two middle elements.
    ordered = sorted($1)
    n = len(ordered)
    if n % 2 == 1:
        return ordered[n // 2]
    return (ordered[n // 2 - 1] + ordered[n // 2]) / 2

mean_absolute_deviation average_deviation (floats) -> float
  Return the average absolute difference between the numbers in $1 and their mean.
  Compute the mean absolute deviation of $1.
    mean = sum($1) / len($1)
    return sum(abs(x - mean) for x in $1) / len($1)

variance spread_squared (floats) -> float
  Return the average squared difference between the numbers in $1 and their mean.
  Compute the variance of $1.
    mean = sum($1) / len($1)
    return sum((x - mean) ** 2 for x in $1) / len($1)

max_element largest maximum (some) -> int
  Return the largest number in $1.
  Find the maximum of the list $1.
    return max($1)

min_element smallest minimum (some) -> int
  Return the smallest number in $1.
  Find the minimum of the list $1.
    return min($1)

second_largest runner_up (many) -> int
  Return the second largest number in $1.
  Find the number in $1 that comes after the maximum.
    return sorted($1)[-2]

second_smallest next_smallest (many) -> int
  Return the second smallest number in $1.
  Find the number in $1 that comes after the minimum.
    return sorted($1)[1]

value_range spread max_minus_min (some) -> int
  Return the difference between the largest and the smallest number in $1.
  Compute the maximum of $1 minus its minimum.
    return max($1) - min($1)

min_and_max extremes bounds (some) -> tuple[int, int]
  Return a tuple of the smallest and the largest number in $1.
  Find both the minimum and the maximum of $1.
    return (min($1), max($1))

index_of_max argmax (some) -> int
  Return the index of the largest number in $1.
  Find the position of the maximum of $1.
    return $1.index(max($1))

index_of_min argmin (some) -> int
  Return the index of the smallest number in $1.
  Find the position of the minimum of $1.
    return $1.index(min($1))

first_element head get_first (some) -> int
  Return the first element of $1.
  Return the item at the start of $1.
    return $1[0]

last_element get_last (some) -> int
  Return the last element of $1.
  Return the item at the end of $1.
    return $1[-1]

first_or_default first_or (ints x) -> int
  Return the first element of $1, or $2 if the list is empty.
  Return the item at the start of $1 with default $2.
    return $1[0] if $1 else $2

sum_ends first_plus_last (some) -> int
  Return the sum of the first and the last element of $1.
  Add the element at the start of $1 to the one at the end.
    return $1[0] + $1[-1]

without_first tail (some) -> list[int]
  Return $1 without its first element.
  Drop the first item of $1.
    return $1[1:]

without_last drop_last (some) -> list[int]
  Return $1 without its last element.
  Drop the final item of $1.
    return $1[:-1]

take first_n (ints k) -> list[int]
  Return the first $2 elements of $1.
  Take $2 items from the start of $1.
    return $1[:$2]

drop skip_first (ints k) -> list[int]
  Return $1 without its first $2 elements.
  Skip $2 items at the start of $1.
    return $1[$2:]

last_n take_last (ints k) -> list[int]
  Return the last $2 elements of $1.
  Take $2 items from the end of $1.
    return $1[-$2:]

every_other every_second alternate (ints) -> list[int]
  Return every second element of $1, starting with the first.
  Return the elements of $1 at even indices.
    return $1[::2]

every_nth step_through (ints k) -> list[int]
  Return every element of $1 whose index is a multiple of $2.
  Take each $2-th element of $1, starting with the first.
    return $1[::$2]

reverse_list reversed_copy backwards (ints) -> list[int]
  Return the elements of $1 in reverse order.
  Return a reversed copy of $1.
    return $1[::-1]

sort_list ascending (ints) -> list[int]
  Return the elements of $1 in ascending order.
  Return a sorted copy of $1.
    return sorted($1)

sort_descending descending (ints) -> list[int]
  Return the elements of $1 in descending order.
  Sort $1 from largest to smallest.
    return sorted($1, reverse=True)

sort_by_absolute by_magnitude (ints) -> list[int]
  Return the elements of $1 sorted by absolute value.
  Sort the numbers of $1 by their distance from zero.
    return sorted($1, key=abs)

sorted_unique unique_sorted (ints) -> list[int]
  Return the distinct elements of $1 in ascending order.
  Sort $1 and remove duplicates.
    return sorted(set($1))

unique dedupe remove_duplicates (ints) -> list[int]
  Return the elements of $1 without duplicates, keeping their order.
  Remove repeated elements from $1 and keep the first of each.
    return list(dict.fromkeys($1))

count_unique count_distinct num_distinct (ints) -> int
  Return the number of distinct elements in $1.
  Count how many different values are in $1.
    return len(set($1))

has_duplicates contains_duplicates (ints) -> bool
  Return True if some element occurs more than once in $1.
  Check whether $1 has repeated elements.
    return len($1) != len(set($1))

all_unique all_different (ints) -> bool
  Return True if no element occurs twice in $1.
  Check whether all elements of $1 are different.
    return len($1) == len(set($1))

all_equal all_same (ints) -> bool
  Return True if all elements of $1 are the same.
  Check whether the elements of $1 are all equal.
    return len(set($1)) <= 1

is_sorted in_order (ints) -> bool
  Return True if $1 is in ascending order.
  Check whether the list $1 is sorted.
    return $1 == sorted($1)

is_palindrome_list reads_same (ints) -> bool
  Return True if $1 is the same forwards and backwards.
  Check whether the list $1 is a palindrome.
    return $1 == $1[::-1]

is_empty has_no_elements (ints) -> bool
  Return True if $1 has no elements.
  Check whether the list $1 is empty.
    return len($1) == 0

contains has_value is_in (ints x) -> bool
  Return True if $2 is in $1.
  Check whether the list $1 contains $2.
    return $2 in $1

count_value occurrences count_of (ints x) -> int
  Return how many times $2 occurs in $1.
  Count the occurrences of $2 in $1.
    return $1.count($2)

find_index position_of (ints x) -> int
  Return the index of $2 in $1, or -1 if it is not there.
  Find the position of $2 in $1; return -1 if it is missing.
    for i, x in enumerate($1):
        if x == $2:
            return i
    return -1

all_indices find_all positions (ints x) -> list[int]
  Return a list of all indices at which $2 occurs in $1.
  Find every position of $2 in $1.
    return [i for i, x in enumerate($1) if x == $2]

remove_all without_value (ints x) -> list[int]
  Return $1 without all occurrences of $2.
  Remove every element equal to $2 from $1.
    return [x for x in $1 if x != $2]

replace_all substitute (ints x x) -> list[int]
  Return $1 with every $2 replaced by $3.
  Replace all elements equal to $2 in $1 by $3.
    return [$3 if x == $2 else x for x in $1]

append_value add_to_end (ints x) -> list[int]
  Return a new list with $2 added to the end of $1.
  Return $1 followed by $2.
    return $1 + [$2]

prepend_value add_to_front (ints x) -> list[int]
  Return a new list with $2 added to the front of $1.
  Return $2 followed by the elements of $1.
    return [$2] + $1

concat join_lists (ints ints) -> list[int]
  Return the elements of $1 followed by those of $2.
  Concatenate the lists $1 and $2.
    return $1 + $2

repeat_list repeat_elements (ints k) -> list[int]
  Return the list $1 repeated $2 times.
  Return $2 copies of $1 in one list.
    return $1 * $2

rotate_left shift_left (some k) -> list[int]
  Return $1 rotated to the left by $2 places.
  Move the first $2 elements of $1 to the end.
    return $1[$2:] + $1[:$2]

rotate_right shift_right (some k) -> list[int]
  Return $1 rotated to the right by $2 places.
  Move the last $2 elements of $1 to the front.
    return $1[-$2:] + $1[:-$2]

swap_ends exchange_ends (many) -> list[int]
  Return $1 with its first and last element swapped.
  Exchange the elements at both ends of $1.
    return [$1[-1]] + $1[1:-1] + [$1[0]]

interleave alternate_lists (ints ints) -> list[int]
  Return a list that takes elements from $1 and $2 in turn.
  Interleave the lists $1 and $2.
    result = []
    for x, y in zip($1, $2):
        result.append(x)
        result.append(y)
    return result

intersperse insert_between (ints x) -> list[int]
  Return $1 with $2 put between every two neighbouring elements.
  Insert the number $2 between consecutive elements of $1.
    result = []
    for x in $1:
        result.append(x)
        result.append($2)
    return result[:-1]

chunks split_into_chunks (ints k) -> list[list[int]]
  Split $1 into lists of $2 elements; the last may be shorter.
  Return the elements of $1 in groups of $2.
    return [$1[i:i + $2] for i in range(0, len($1), $2)]

flatten flatten_lists (matrix) -> list[int]
  Return one list with the elements of all lists in $1.
  Flatten the list of lists $1.
    return [x for row in $1 for x in row]

row_sums sum_rows (matrix) -> list[int]
  Return a list of the sums of the rows of $1.
  Sum every row of the matrix $1.
    return [sum(row) for row in $1]

row_maxima max_of_rows (matrix) -> list[int]
  Return a list of the largest number in each row of $1.
  Find the maximum of every row of the matrix $1.
    return [max(row) for row in $1]

column get_column (matrix index) -> list[int]
  Return the column of the matrix $1 at index $2.
  Return element $2 of every row of $1.
    return [row[$2] for row in $1]

transpose swap_rows_columns (matrix) -> list[list[int]]
  Return the matrix $1 with rows and columns swapped.
  Transpose the list of lists $1.
    return [list(column) for column in zip(*$1)]

matrix_total sum_matrix (matrix) -> int
  Return the sum of all numbers in the matrix $1.
  Add up the elements of all rows of $1.
    return sum(sum(row) for row in $1)

running_sum cumulative_sum prefix_sums (ints) -> list[int]
  Return a list of the running totals of $1.
  Return the cumulative sums of $1.
    result = []
    total = 0
    for x in $1:
        total += x
        result.append(total)
    return result

running_max rolling_max (ints) -> list[int]
  Return a list of the largest number found so far at each position of $1.
  Return the running maximum of $1.
    result = []
    for i in range(len($1)):
        result.append(max($1[:i + 1]))
    return result

differences steps_between (ints) -> list[int]
  Return a list of the differences between neighbouring elements of $1.
  Subtract each element of $1 from the next one.
    return [y - x for x, y in zip($1, $1[1:])]

pair_sums neighbour_sums (ints) -> list[int]
  Return a list of the sums of neighbouring elements of $1.
  Add each element of $1 to the next one.
    return [x + y for x, y in zip($1, $1[1:])]

add_lists elementwise_sum vector_add (ints ints) -> list[int]
  Return a list of the sums of corresponding elements of $1 and $2.
  Add the lists $1 and $2 element by element.
    return [x + y for x, y in zip($1, $2)]

multiply_lists elementwise_product (ints ints) -> list[int]
  Return a list of the products of corresponding elements of $1 and $2.
  Multiply the lists $1 and $2 element by element.
    return [x * y for x, y in zip($1, $2)]

dot_product dot inner_product (ints ints) -> int
  Return the sum of the products of corresponding elements of $1 and $2.
  Compute the dot product of $1 and $2.
    return sum(x * y for x, y in zip($1, $2))

count_matches equal_positions (ints ints) -> int
  Return at how many positions $1 and $2 have the same element.
  Count the positions where the lists $1 and $2 agree.
    return sum(1 for x, y in zip($1, $2) if x == y)

common common_elements intersection (ints ints) -> list[int]
  Return a sorted list of the distinct elements that are in both $1 and $2.
  Find the sorted common elements of $1 and $2.
    return sorted(set($1) & set($2))

union all_elements (ints ints) -> list[int]
  Return a sorted list of the distinct elements that are in $1 or $2.
  Find the sorted union of $1 and $2.
    return sorted(set($1) | set($2))

difference only_in_first (ints ints) -> list[int]
  Return the elements of $1 that are not in $2.
  Remove all elements of $2 from $1.
    return [x for x in $1 if x not in $2]

merge_sorted merge (ints ints) -> list[int]
  Return all elements of $1 and $2 in ascending order.
  Merge the lists $1 and $2 into one sorted list.
    return sorted($1 + $2)

largest_n top_n (ints k) -> list[int]
  Return the $2 largest numbers of $1 in descending order.
  Find the top $2 elements of $1.
    return sorted($1, reverse=True)[:$2]

smallest_n bottom_n (ints k) -> list[int]
  Return the $2 smallest numbers of $1 in ascending order.
  Find the lowest $2 elements of $1.
    return sorted($1)[:$2]

most_common mode most_frequent (some) -> int
  Return the element that occurs most often in $1.
  Find the most common number in $1.
    return max($1, key=$1.count)

frequencies count_each tally (ints) -> dict[int, int]
  Return a dictionary that maps each element of $1 to its number of occurrences.
  Count how often each number occurs in $1.
    counts = {}
    for x in $1:
        counts[x] = counts.get(x, 0) + 1
    return counts

count_above_mean above_average (some) -> int
  Return how many numbers in $1 are greater than their mean.
  Count the elements of $1 above the average.
    mean = sum($1) / len($1)
    return sum(1 for x in $1 if x > mean)

has_pair_with_sum pair_sums_to (ints x) -> bool
  Return True if two different elements of $1 add up to $2.
  Check whether $1 has two numbers at different positions whose sum is $2.
    for i in range(len($1)):
        for j in range(i + 1, len($1)):
            if $1[i] + $1[j] == $2:
                return True
    return False

below_zero balance_below_zero goes_negative (ints) -> bool
  Return True if the running total of $1 falls below zero at any point.
  Check whether the cumulative sum of $1 is ever negative.
    total = 0
    for x in $1:
        total += x
        if total < 0:
            return True
    return False

partition split_by_parity evens_and_odds (ints) -> tuple[list[int], list[int]]
  Return a tuple of the even numbers and the odd numbers in $1.
  Split $1 into a list of even and a list of odd numbers.
    evens = [x for x in $1 if x % 2 == 0]
    odds = [x for x in $1 if x % 2 == 1]
    return (evens, odds)

move_zeros zeros_last (ints) -> list[int]
  Return $1 with all zeros moved to the end.
  Put the zeros of $1 after the other elements and keep the order.
    return [x for x in $1 if x != 0] + [x for x in $1 if x == 0]

split_at cut_at (ints k) -> tuple[list[int], list[int]]
  Return a tuple of the first $2 elements of $1 and the rest.
  Split $1 into two lists at index $2.
    return ($1[:$2], $1[$2:])

max_subarray_sum best_sum (some) -> int
  Return the largest sum of a run of consecutive elements in $1.
  Find the maximum sum of a contiguous sublist of $1.
    best = current = $1[0]
    for x in $1[1:]:
        current = max(x, current + x)
        best = max(best, current)
    return best

names_of pair_names first_of_pairs (pairs) -> list[str]
  Return a list of the first elements of the pairs in $1.
  Collect the names from the list of name and number pairs $1.
    return [name for name, value in $1]

pair_total sum_of_pairs (pairs) -> int
  Return the sum of the second elements of the pairs in $1.
  Add up the numbers in the list of name and number pairs $1.
    return sum(value for name, value in $1)

to_dict pairs_to_dict (pairs) -> dict[str, int]
  Return a dictionary made from the pairs in $1.
  Convert the list of name and number pairs $1 to a dictionary.
    return dict($1)

sort_pairs by_second (pairs) -> list[tuple[str, int]]
  Return the pairs in $1 sorted by their second element.
  Sort the list of name and number pairs $1 by number.
    return sorted($1, key=lambda pair: pair[1])

best_pair highest_pair (pairs) -> str
  Return the first element of the pair in $1 with the largest second element.
  Find the name with the highest number in the pairs $1.
    return max($1, key=lambda pair: pair[1])[0]

zip_to_dict make_dict (words ints) -> dict[str, int]
  Return a dictionary with the elements of $1 as keys and those of $2 as values.
  Map each word in $1 to the number at the same position in $2.
    return dict(zip($1, $2))
"""
