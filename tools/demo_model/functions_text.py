"""Short functions on strings for the corpus, in the layout of `tasks.demo.functions_numbers`. Data only."""

TABLE = r"""
reverse_string reverse backwards_text (word) -> str
  Return $1 reversed.
  Return the characters of $1 in reverse order.
    return $1[::-1]

is_palindrome palindrome check_palindrome (word) -> bool
  Return True if $1 reads the same backwards.
  Check whether the string $1 is a palindrome.
    return $1 == $1[::-1]

to_upper shout uppercase (text) -> str
  Return $1 in upper case.
  Make all letters of $1 capital.
    return $1.upper()

to_lower lowercase (text) -> str
  Return $1 in lower case.
  Make all letters of $1 small.
    return $1.lower()

swap_case flip_case invert_case (text) -> str
  Return $1 with upper case letters made lower case and the other way round.
  Swap the case of every letter in $1.
    return $1.swapcase()

title_case capitalize_words (text) -> str
  Return $1 with the first letter of each word in upper case.
  Capitalize every word of $1.
    return ' '.join(w.capitalize() for w in $1.split())

string_length num_chars length (text) -> int
  Return the length of the string $1.
  Count the characters of $1.
    return len($1)

count_words word_count num_words (text) -> int
  Return the number of words in $1.
  Count how many words the sentence $1 has.
    return len($1.split())

split_words words_of get_words (text) -> list[str]
  Return a list of the words in $1.
  Split the sentence $1 into words.
    return $1.split()

split_chars letters_of to_chars (word) -> list[str]
  Return a list of the characters of $1.
  Split the string $1 into single characters.
    return list($1)

first_word leading_word (text) -> str
  Return the first word of $1.
  Find the word at the start of the sentence $1.
    return $1.split()[0]

last_word final_word (text) -> str
  Return the last word of $1.
  Find the word at the end of the sentence $1.
    return $1.split()[-1]

longest_word find_longest_word (text) -> str
  Return the longest word in the sentence $1.
  Find the word of $1 with the most letters.
    return max($1.split(), key=len)

shortest_word find_shortest_word (text) -> str
  Return the shortest word in the sentence $1.
  Find the word of $1 with the fewest letters.
    return min($1.split(), key=len)

reverse_words words_backwards (text) -> str
  Return $1 with its words in reverse order.
  Reverse the order of the words in the sentence $1.
    return ' '.join($1.split()[::-1])

reverse_each_word flip_words (text) -> str
  Return $1 with each word reversed but the words in the same order.
  Reverse the letters of every word in the sentence $1.
    return ' '.join(w[::-1] for w in $1.split())

word_lengths lengths_of_words (text) -> list[int]
  Return a list of the lengths of the words in $1.
  Compute how long every word of the sentence $1 is.
    return [len(w) for w in $1.split()]

sort_words words_in_order (text) -> str
  Return $1 with its words in alphabetical order.
  Sort the words of the sentence $1.
    return ' '.join(sorted($1.split()))

sort_letters sorted_string (word) -> str
  Return a string with the characters of $1 in alphabetical order.
  Sort the letters of $1.
    return ''.join(sorted($1))

initials first_letters acronym (text) -> str
  Return the first letters of the words in $1 in upper case.
  Build the acronym of the words in $1.
    return ''.join(w[0].upper() for w in $1.split())

join_words words_to_text make_sentence (words) -> str
  Return the strings in $1 joined with spaces.
  Make one sentence from the words in $1.
    return ' '.join($1)

concatenate join_strings glue (words) -> str
  Return all strings in $1 concatenated.
  Join the list of strings $1 into one string.
    return ''.join($1)

join_with join_by (words sep) -> str
  Return the strings in $1 joined with $2.
  Make one string from $1 with $2 between the elements.
    return $2.join($1)

first_char first_letter (word) -> str
  Return the first character of $1.
  Return the letter at the start of $1.
    return $1[0]

last_char last_letter (word) -> str
  Return the last character of $1.
  Return the letter at the end of $1.
    return $1[-1]

middle_char center_letter (word) -> str
  Return the character in the middle of $1.
  Return the letter of $1 at half its length.
    return $1[len($1) // 2]

without_ends trim_ends strip_ends (word) -> str
  Return $1 without its first and last character.
  Drop one character from both ends of $1.
    return $1[1:-1]

swap_first_last exchange_letters (word) -> str
  Return $1 with its first and last character swapped.
  Exchange the letters at both ends of $1.
    return $1[-1] + $1[1:-1] + $1[0]

same_ends starts_and_ends_same (word) -> bool
  Return True if $1 starts and ends with the same character.
  Check whether the first and the last letter of $1 are equal.
    return $1[0] == $1[-1]

starts_with has_prefix (word letter) -> bool
  Return True if $1 starts with $2.
  Check whether the string $1 begins with $2.
    return $1.startswith($2)

ends_with has_suffix (word letter) -> bool
  Return True if $1 ends with $2.
  Check whether the string $1 has the suffix $2.
    return $1.endswith($2)

contains_char has_letter (word letter) -> bool
  Return True if $2 occurs in $1.
  Check whether the string $1 contains $2.
    return $2 in $1

count_char letter_count count_letter (word letter) -> int
  Return how many times $2 occurs in $1.
  Count the letter $2 in the string $1.
    return $1.count($2)

remove_char delete_letter (word letter) -> str
  Return $1 without all occurrences of $2.
  Remove every $2 from the string $1.
    return $1.replace($2, '')

replace_char change_letter (word letter letter) -> str
  Return $1 with every $2 replaced by $3.
  Replace all occurrences of $2 in $1 by $3.
    return $1.replace($2, $3)

remove_spaces without_spaces (text) -> str
  Return $1 without spaces.
  Remove all spaces from $1.
    return $1.replace(' ', '')

spaces_to_underscores underscored (text) -> str
  Return $1 with spaces replaced by underscores.
  Replace every space of $1 by an underscore.
    return $1.replace(' ', '_')

to_dashes slug slugify (text) -> str
  Return $1 in lower case with dashes in place of spaces.
  Turn the title $1 into a slug of lower case words joined with dashes.
    return $1.lower().replace(' ', '-')

repeat_string repeat (word k) -> str
  Return $1 repeated $2 times.
  Return $2 copies of the string $1.
    return $1 * $2

repeat_with_sep repeat_joined (word k) -> str
  Return $2 copies of $1 separated by spaces.
  Repeat the word $1 $2 times with a space between.
    return ' '.join([$1] * $2)

double_letters double_chars stutter (word) -> str
  Return $1 with every character doubled.
  Repeat each letter of $1 two times.
    return ''.join(c * 2 for c in $1)

prefix_string add_prefix (word word) -> str
  Return $2 followed by $1.
  Put the string $2 in front of $1.
    return $2 + $1

suffix_string add_suffix (word word) -> str
  Return $1 followed by $2.
  Add the string $2 to the end of $1.
    return $1 + $2

greet say_hello greeting (word) -> str
  Return a greeting of the form 'Hello, NAME!' for the name $1.
  Greet $1 with hello, a comma and an exclamation mark.
    return f'Hello, {$1}!'

full_name join_names (word word) -> str
  Return $1 and $2 separated by a space.
  Build the full name from first name $1 and last name $2.
    return f'{$1} {$2}'

last_comma_first formal_name (word word) -> str
  Return the name in the form 'LAST, FIRST' from first name $1 and last name $2.
  Put last name $2 before first name $1 with a comma between.
    return f'{$2}, {$1}'

label_value describe (word x) -> str
  Return $1 and $2 in the form 'NAME=VALUE'.
  Format the name $1 and the value $2 with an equals sign between.
    return f'{$1}={$2}'

truncate shorten (text k) -> str
  Return the first $2 characters of $1.
  Cut the string $1 after $2 characters.
    return $1[:$2]

ellipsis shorten_with_dots (text k) -> str
  Return the first $2 characters of $1 followed by '...' if $1 is longer than that.
  Shorten $1 to $2 characters and add three dots if something was cut.
    if len($1) <= $2:
        return $1
    return $1[:$2] + '...'

pad_left right_align (word k) -> str
  Return $1 padded with spaces on the left to $2 characters.
  Align $1 to the right in a field of $2 characters.
    return $1.rjust($2)

pad_right left_align (word k) -> str
  Return $1 padded with spaces on the right to $2 characters.
  Align $1 to the left in a field of $2 characters.
    return $1.ljust($2)

zero_pad leading_zeros (n k) -> str
  Return $1 as a string with leading zeros up to $2 digits.
  Write the number $1 with at least $2 digits.
    return str($1).zfill($2)

mask_word hide_letters stars (word) -> str
  Return a string of as many stars as $1 has characters.
  Replace every character of $1 by a star.
    return '*' * len($1)

mask_tail hide_rest (word) -> str
  Return the first letter of $1 followed by a star for each other letter.
  Hide all letters of $1 after the first with stars.
    return $1[0] + '*' * (len($1) - 1)

count_distinct_chars distinct_letters (word) -> int
  Return the number of different characters in $1.
  Count how many distinct characters the string $1 has.
    return len(set($1))

all_unique_chars no_repeated_letters (word) -> bool
  Return True if no character occurs twice in $1.
  Check whether all characters of $1 are different.
    return len($1) == len(set($1))

unique_chars drop_repeated_letters (word) -> str
  Return $1 without repeated characters, keeping the first of each.
  Remove duplicate letters from the string $1.
    return ''.join(dict.fromkeys($1))

char_counts letter_frequencies (word) -> dict[str, int]
  Return a dictionary that maps each character of $1 to its number of occurrences.
  Count how often each letter occurs in $1.
    counts = {}
    for c in $1:
        counts[c] = counts.get(c, 0) + 1
    return counts

word_frequencies count_each_word (text) -> dict[str, int]
  Return a dictionary that maps each word of $1 to its number of occurrences.
  Count how often each word occurs in the sentence $1.
    counts = {}
    for w in $1.split():
        counts[w] = counts.get(w, 0) + 1
    return counts

most_common_char top_letter (word) -> str
  Return the character that occurs most often in $1.
  Find the most common letter of the string $1.
    return max($1, key=$1.count)

are_anagrams is_anagram anagram (word word) -> bool
  Return True if $1 and $2 are made of the same letters.
  Check whether $1 is an anagram of $2.
    return sorted($1) == sorted($2)

same_letters same_chars (word word) -> bool
  Return True if $1 and $2 have the same set of characters.
  Check whether the strings $1 and $2 use the same letters, regardless of how often.
    return set($1) == set($2)

common_letters shared_chars (word word) -> list[str]
  Return a sorted list of the characters that are in both $1 and $2.
  Find the letters that the words $1 and $2 share, in alphabetical order.
    return sorted(set($1) & set($2))

equal_ignore_case same_ignoring_case (word word) -> bool
  Return True if $1 and $2 are equal when case is ignored.
  Compare the strings $1 and $2 without regard to case.
    return $1.lower() == $2.lower()

hamming_distance count_mismatches (word word) -> int
  Return at how many positions $1 and $2 differ.
  Count the positions where the strings $1 and $2 have different characters.
    return sum(1 for a, b in zip($1, $2) if a != b)

longer_string longer_of (word word) -> str
  Return the longer of the strings $1 and $2.
  Find which of $1 and $2 has more characters; $1 if they are equally long.
    return max($1, $2, key=len)

longest longest_string (words) -> str
  Return the longest string in $1, or '' if the list is empty.
  Find the first string of $1 with the most characters; '' for an empty list.
    return max($1, key=len, default='')

shortest shortest_string (somewords) -> str
  Return the shortest string in $1.
  Find the string of $1 with the fewest characters.
    return min($1, key=len)

sort_by_length by_length (words) -> list[str]
  Return the strings in $1 sorted by length.
  Sort the words of $1 from shortest to longest.
    return sorted($1, key=len)

sort_ignoring_case case_insensitive_sort (words) -> list[str]
  Return the strings in $1 sorted without regard to case.
  Sort the words of $1 alphabetically, ignoring case.
    return sorted($1, key=str.lower)

total_length total_chars (words) -> int
  Return the total number of characters of all strings in $1.
  Add up the lengths of the words in $1.
    return sum(len(w) for w in $1)

prefixes all_prefixes (word) -> list[str]
  Return a list of all prefixes of $1 from shortest to longest.
  List the beginnings of the string $1.
    return [$1[:i + 1] for i in range(len($1))]

suffixes all_suffixes (word) -> list[str]
  Return a list of all suffixes of $1 from longest to shortest.
  List the endings of the string $1.
    return [$1[i:] for i in range(len($1))]

letter_pairs bigrams (word) -> list[str]
  Return a list of the pairs of neighbouring letters in $1.
  List all substrings of $1 with two characters.
    return [$1[i:i + 2] for i in range(len($1) - 1)]

count_substring how_often (text letter) -> int
  Return how many times $2 can be found in $1, overlapping cases included.
  Count overlapping occurrences of the substring $2 in $1.
    return sum(1 for i in range(len($1)) if $1[i:].startswith($2))

shift_letters caesar caesar_cipher (word k) -> str
  Return $1 with every lower case letter moved $2 places forward in the alphabet.
  Encrypt $1 with a Caesar shift of $2.
    return ''.join(chr((ord(c) - ord('a') + $2) % 26 + ord('a')) for c in $1)

alphabet_position letter_index (letter) -> int
  Return the position of the letter $1 in the alphabet, starting with 1.
  Return 1 for 'a', 2 for 'b' and so on for the letter $1.
    return ord($1) - ord('a') + 1

is_vowel vowel (letter) -> bool
  Return True if $1 is a vowel.
  Check whether the letter $1 is one of a, e, i, o and u.
    return $1 in 'aeiou'

parse_numbers to_numbers (digits) -> list[int]
  Return a list of the integers in the space separated string $1.
  Split $1 on spaces and convert the parts to integers.
    return [int(part) for part in $1.split()]

sum_of_numbers add_numbers_in (digits) -> int
  Return the sum of the integers in the space separated string $1.
  Add up the numbers that are separated by spaces in $1.
    return sum(int(part) for part in $1.split())

numbers_to_string sequence_string (n) -> str
  Return a string of the numbers from 0 to $1 separated by spaces.
  Write the integers 0 to $1 with spaces between them.
    return ' '.join(str(i) for i in range($1 + 1))

join_numbers numbers_joined (ints) -> str
  Return the numbers in $1 as a string separated by commas.
  Join the integers of $1 with commas.
    return ','.join(str(x) for x in $1)

letter_triangle growing_string (letter k) -> list[str]
  Return a list of $2 strings where the i-th is $1 repeated i times.
  Build $2 rows of a triangle from the character $1.
    return [$1 * i for i in range(1, $2 + 1)]

snake_to_camel to_camel_case (snake) -> str
  Convert the name $1 from snake_case to camelCase.
  Join the parts of $1 between underscores, with a capital for all but the first.
    parts = $1.split('_')
    return parts[0] + ''.join(part.capitalize() for part in parts[1:])

snake_to_title readable_name (snake) -> str
  Turn the name $1 from snake_case into words that start with capitals.
  Replace the underscores of $1 by spaces and capitalize each word.
    return $1.replace('_', ' ').title()

is_balanced balanced check_parentheses (parens) -> bool
  Return True if the parentheses in $1 are balanced.
  Check whether every opening parenthesis in $1 is closed by a later one.
    depth = 0
    for c in $1:
        if c == '(':
            depth += 1
        if c == ')':
            depth -= 1
        if depth < 0:
            return False
    return depth == 0

max_depth nesting_depth deepest (parens) -> int
  Return the deepest nesting of parentheses in $1.
  Find how many parentheses are open at the same time at most in $1.
    depth = best = 0
    for c in $1:
        if c == '(':
            depth += 1
            best = max(best, depth)
        if c == ')':
            depth -= 1
    return best

run_lengths encode_runs run_length_encode (word) -> list[tuple[str, int]]
  Return a list of pairs of a character and the length of its run in $1.
  Encode the runs of equal characters of $1 as pairs.
    result = []
    for c in $1:
        if result and result[-1][0] == c:
            result[-1] = (c, result[-1][1] + 1)
        else:
            result.append((c, 1))
    return result

group_by_first_letter group_words (words) -> dict[str, list[str]]
  Return a dictionary that maps each first letter to the words of $1 that start with it.
  Group the strings of $1 by their first letter.
    groups = {}
    for w in $1:
        groups.setdefault(w[0], []).append(w)
    return groups

length_map lengths_by_word (words) -> dict[str, int]
  Return a dictionary that maps each string in $1 to its length.
  Map every word of $1 to its number of characters.
    return {w: len(w) for w in $1}

number_lines numbered (words) -> list[str]
  Return the strings in $1 numbered in the form '1: TEXT', starting with 1.
  Put the line number and a colon in front of every string in $1.
    return [f'{i}: {w}' for i, w in enumerate($1, 1)]

common_prefix shared_start (word word) -> str
  Return the longest string that both $1 and $2 start with.
  Find the common prefix of the strings $1 and $2.
    result = ''
    for a, b in zip($1, $2):
        if a != b:
            break
        result += a
    return result
"""
