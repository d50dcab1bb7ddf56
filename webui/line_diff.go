package webui

// edit is one line of a difference: '+' stands only in the new text, '-' only in the
// old one, ' ' in both.
type edit struct {
	Op   byte
	Line int // from 1, in the new text; for '-' in the old one
	Text string
}

// maxEdits bounds how hard the shortest difference is looked for. It takes the
// square of it in steps and memory: texts that differ more are told as one whole
// that goes and one that comes.
const maxEdits = 400

// diffLines is the shortest way from a to b, as long as it takes no more than
// maxEdits lines that come or go.
func diffLines(a, b []string) []edit {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	out := make([]edit, 0, len(b)+8)
	for i := range head {
		out = append(out, edit{' ', i + 1, b[i]})
	}
	for _, e := range diffMiddle(a[head:len(a)-tail], b[head:len(b)-tail]) {
		e.Line += head
		out = append(out, e)
	}
	for i := len(b) - tail; i < len(b); i++ {
		out = append(out, edit{' ', i + 1, b[i]})
	}
	return out
}

// diffMiddle is Myers' greedy search: after d steps, reach holds for each diagonal
// x-y how far along it one comes with d lines that come or go.
func diffMiddle(a, b []string) []edit {
	bound := min(len(a)+len(b), maxEdits)
	reach := make([]int, 2*bound+3)
	at := func(k int) *int { return &reach[k+bound+1] }
	var trail [][]int
	for d := 0; d <= bound; d++ {
		trail = append(trail, append([]int(nil), reach[bound+1-d:bound+2+d]...))
		for k := -d; k <= d; k += 2 {
			var x int
			if k == -d || (k != d && *at(k - 1) < *at(k + 1)) {
				x = *at(k + 1)
			} else {
				x = *at(k - 1) + 1
			}
			for x < len(a) && x-k < len(b) && a[x] == b[x-k] {
				x++
			}
			*at(k) = x
			if x >= len(a) && x-k >= len(b) {
				return walkBack(a, b, trail)
			}
		}
	}
	return replaced(a, b)
}

// walkBack follows the search from its end to its beginning. trail[d] is what was
// reached with fewer than d steps, for the diagonals from -d to d.
func walkBack(a, b []string, trail [][]int) []edit {
	var back []edit
	x, y := len(a), len(b)
	for d := len(trail) - 1; d >= 0; d-- {
		before := func(k int) int {
			if k < -d || k > d {
				return 0
			}
			return trail[d][k+d]
		}
		k := x - y
		prev := k - 1
		if k == -d || (k != d && before(k-1) < before(k+1)) {
			prev = k + 1
		}
		px := before(prev)
		py := px - prev
		for x > 0 && y > 0 && (d == 0 || (x > px && y > py)) {
			x, y = x-1, y-1
			back = append(back, edit{' ', y + 1, b[y]})
		}
		switch {
		case d == 0:
		case prev == k+1:
			y--
			back = append(back, edit{'+', y + 1, b[y]})
		default:
			x--
			back = append(back, edit{'-', x + 1, a[x]})
		}
	}
	for i, j := 0, len(back)-1; i < j; i, j = i+1, j-1 {
		back[i], back[j] = back[j], back[i]
	}
	return back
}

func replaced(a, b []string) []edit {
	out := make([]edit, 0, len(a)+len(b))
	for i, line := range a {
		out = append(out, edit{'-', i + 1, line})
	}
	for i, line := range b {
		out = append(out, edit{'+', i + 1, line})
	}
	return out
}
