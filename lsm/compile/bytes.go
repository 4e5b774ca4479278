package compile

// byteDFA is the byte automaton of a set of globs. Row 0 is dead: no glob can
// match any more.
type byteDFA struct {
	start uint32
	rows  []byteRow
}

type byteRow struct {
	next [256]uint32
	ends []uint32 // nodes reached if the component ends here, sorted
}

// walk is the row after a name.
func (d *byteDFA) walk(name string) uint32 {
	row := d.start
	for i := 0; i < len(name) && row != 0; i++ {
		row = d.rows[row].next[name[i]]
	}
	return row
}

// byteDFA builds the automaton that begins at a sorted set of positions.
func (d *dfa) byteDFA(start []uint32) (*byteDFA, error) {
	key := string(appendSet(nil, start))
	if auto, ok := d.autos[key]; ok {
		return auto, nil
	}
	auto := &byteDFA{rows: make([]byteRow, 1)}
	table := newSetTable()
	auto.start, _ = table.intern(start)
	for row := 1; row < len(table.sets); row++ {
		if d.rowCount++; d.rowCount > d.limits.globRows {
			return nil, d.tooManyRows(table.sets[row:])
		}
		positions := table.sets[row]
		r := byteRow{ends: d.ends(positions)}
		var next []uint32
		class, samples := d.byteClasses(positions)
		targets := make([]uint32, len(samples))
		for c, b := range samples {
			next = next[:0]
			for _, at := range positions {
				p := &d.positions[at]
				if p.set.has(b) {
					next = append(next, at+1)
				}
				if p.stays {
					next = append(next, at)
				}
			}
			next = sortSet(next)
			targets[c], _ = table.intern(next)
		}
		for b := range r.next {
			// No name contains these; one row for all spares rows.
			if b != 0 && b != '/' {
				r.next[b] = targets[class[b]]
			}
		}
		auto.rows = append(auto.rows, r)
	}
	d.autos[key] = auto
	return auto, nil
}

func (d *dfa) ends(positions []uint32) []uint32 {
	var ends []uint32
	for _, at := range positions {
		for _, node := range d.positions[at].ends {
			if node != 0 {
				ends = append(ends, node)
			}
		}
	}
	return sortSet(ends)
}

// byteClasses divides the bytes into those that no position tells apart, with
// one byte of each class.
func (d *dfa) byteClasses(positions []uint32) (class [256]uint16, samples []byte) {
	samples = []byte{1}
	for _, at := range positions {
		set := &d.positions[at].set
		if *set == (byteSet{}) {
			continue
		}
		var refined [2][256]uint16 // class + 1, by membership and old class
		samples = samples[:0]
		for b := 1; b < 256; b++ {
			if b == '/' {
				continue
			}
			in := 0
			if set.has(byte(b)) {
				in = 1
			}
			id := &refined[in][class[b]]
			if *id == 0 {
				samples = append(samples, byte(b))
				*id = uint16(len(samples))
			}
			class[b] = *id - 1
		}
	}
	return class, samples
}

func (d *dfa) tooManyRows(sets [][]uint32) error {
	counts := d.newBlame()
	for _, set := range sets {
		for _, at := range set {
			counts[d.rule(d.positions[at].owner)]++
		}
	}
	return &tooLarge{what: "rows to match the bytes of names", limit: d.limits.globRows, rules: counts.worst()}
}
