// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package inventory

// How the list of one status is read while it changes. The argument for it is in
// docs/design/2026-11-26-sweeps.md.

const (
	// A page of a sweep holds up to a fifth more than Config.PageSize, so that pages that
	// overlap cost no more calls than pages that meet.
	moreOfPage = 5
	// The overlap of two pages grows with the deletions that are met, up to this part of
	// a page.
	maxOverlapShare = 10
)

// window is a part of the list that one call can show: entries from (page-1)*size on.
type window struct{ page, size int }

func (w window) start() int { return (w.page - 1) * w.size }

func (w window) end() int { return w.page * w.size }

// windowFrom returns the window that reaches furthest of those that begin at or before a
// place and hold at most limit entries.
func windowFrom(place, limit int) window {
	var best window
	for size := limit; size > 0; size-- {
		if w := (window{page: place/size + 1, size: size}); w.end() > best.end() {
			best = w
		}
	}
	return best
}

// verdict says what a page is worth.
type verdict int

const (
	// onward: nothing is between this page and what was read before; more follows.
	onward verdict = iota
	// complete: the same, and the list ends here.
	complete
	// missed: the page shows nothing that was read before, so that something may be
	// between. An earlier page is needed.
	missed
	// uneven: the page is not as long as the list's count says.
	uneven
	// shuffled: what was read before stands in another order, or behind more new certificates
	// than the list's count rose by.
	shuffled
)

// reading is what is known of the list of one status while it is read, page by page. Every
// certificate that is in the list from the first page on, and stands at or before the
// last one that was read, was read.
type reading struct {
	usual   int           // the size of a page that every cloud serves
	limit   int           // the largest page that is asked for
	order   map[int64]int // what was read: its number in the order of the list
	pages   int           // how many were judged
	reached int           // where the last page ended, at its time
	overlap int           // entries that the next page shows again
	back    int           // entries that it begins earlier because the last one missed
	total   int64         // the list's count at the last page
	steady  bool          // the count was the same at every page
	// unreadable counts the entries that could not be read, and trailing those of them
	// that came after the last certificate that was read.
	unreadable, trailing int
}

func newReading(pageSize int) *reading {
	return &reading{usual: pageSize, limit: pageSize + pageSize/moreOfPage, order: map[int64]int{}, overlap: 1, total: -1, steady: true}
}

// next returns the window to read.
func (r *reading) next() window {
	return windowFrom(max(0, r.reached-r.overlap-r.back), r.limit)
}

// take judges a page, and returns the certificates that were not read before. Nothing is
// taken from a page that does not count.
func (r *reading) take(w window, page Page) ([]Certificate, verdict) {
	r.pages++
	if w.start() > 0 && page.Total <= int64(w.start()) {
		return nil, r.miss(page) // the list ends before the page; some clouds show the last one then
	}
	if rows := page.rows(); int64(rows) != min(int64(w.size), page.Total-int64(w.start())) {
		if !r.keepsTo(w, page) {
			return nil, uneven
		}
		r.limit, w = rows, window{page: 1, size: rows}
	}
	known, between, inOrder := r.known(page)
	fresh := page.Certificates[known:]
	if !inOrder || int64(len(between)) > max(0, page.Total-r.total) || hasDuplicates(fresh) {
		return nil, shuffled
	}
	if w.start() > 0 && known == 0 {
		return nil, r.miss(page)
	}
	r.countUnreadable(page, known)
	for _, certificate := range fresh {
		r.order[certificate.CertID] = len(r.order)
	}
	r.counted(page.Total)
	r.reached, r.back = w.start()+page.rows(), 0
	if page.rows() < w.size {
		return append(between, fresh...), complete
	}
	return append(between, fresh...), onward
}

// keepsTo reports whether a first page that was to be larger is one of the usual size.
func (r *reading) keepsTo(w window, page Page) bool {
	return w.start() == 0 && page.rows() == r.usual && page.Total > int64(r.usual)
}

// miss prepares to read an earlier page: as much earlier as the list became shorter, and
// twice as much from miss to miss.
func (r *reading) miss(page Page) verdict {
	r.back = max(1, 2*r.back, int(min(r.total-page.Total, int64(r.reached))))
	r.overlap = min(r.overlap+1, max(2, r.limit/maxOverlapShare))
	r.counted(page.Total)
	return missed
}

// counted notes the list's count.
func (r *reading) counted(total int64) {
	r.steady = r.steady && (r.total < 0 || r.total == total)
	r.total = total
}

// known returns how many certificates at the begin of a page are known or stand before a known
// one, those between them that are new, and whether the known ones stand in the order of the
// list. One that is new there was inserted, or the order has changed.
func (r *reading) known(page Page) (n int, between []Certificate, inOrder bool) {
	last := -1
	for i, certificate := range page.Certificates {
		number, seen := r.order[certificate.CertID]
		if !seen {
			continue
		}
		if number <= last {
			return 0, nil, false
		}
		between = append(between, page.Certificates[n:i]...)
		n, last = i+1, number
	}
	return n, between, true
}

// countUnreadable counts the entries without an id behind the certificates that were known
// before. Those that the last page showed in the same place are counted already.
func (r *reading) countUnreadable(page Page, known int) {
	before, counted := 0, 0
	if known > 0 {
		last := page.Certificates[known-1]
		before = last.Row + 1
		if r.order[last.CertID] == len(r.order)-1 {
			counted = r.trailing
		}
	}
	fresh := page.Certificates[known:]
	r.unreadable += max(0, page.rows()-before-len(fresh)-counted)
	if n := len(page.Certificates); n > 0 {
		r.trailing = page.rows() - page.Certificates[n-1].Row - 1
	}
}

// listed is the number of entries that were read.
func (r *reading) listed() int { return len(r.order) + r.unreadable }

// hasDuplicates reports whether a certificate stands twice in a page.
func hasDuplicates(certificates []Certificate) bool {
	ids := make(map[int64]bool, len(certificates))
	for _, certificate := range certificates {
		ids[certificate.CertID] = true
	}
	return len(ids) < len(certificates)
}
