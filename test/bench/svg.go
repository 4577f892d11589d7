// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"strings"
)

// plot is a line chart over a logarithmic axis, written as SVG.
type plot struct {
	title, x  string
	lines     []line
	limit     float64 // a dashed line; 0 is none
	limitName string
}

type line struct {
	name   string
	points []point
}

type point struct{ x, y float64 }

// The frame of a plot, in pixels.
const (
	width, height            = 640, 360
	left, right, top, bottom = 60, 20, 50, 60
)

var colours = []string{"#1f6feb", "#bf5700", "#2da44e"}

// svg draws the plot. It is readable on a light and on a dark page.
func (p plot) svg() string {
	lowest, highest, tallest := p.bounds()
	at := func(q point) (float64, float64) {
		share := 0.5
		if highest > lowest {
			share = (math.Log10(q.x) - math.Log10(lowest)) / (math.Log10(highest) - math.Log10(lowest))
		}
		return left + share*(width-left-right), height - bottom - q.y/tallest*(height-top-bottom)
	}
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&out, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	text(&out, width/2, 22, "middle", p.title, `font-size="15"`)
	text(&out, width/2, height-30, "middle", p.x)
	for i := range 6 {
		value := tallest * float64(i) / 5
		_, y := at(point{highest, value})
		fmt.Fprintf(&out, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#dddddd"/>`+"\n", left, y, width-right, y)
		text(&out, left-8, y+4, "end", number(value))
	}
	for _, q := range p.lines[0].points {
		x, _ := at(q)
		text(&out, x, height-bottom+18, "middle", number(q.x))
	}
	if p.limit > 0 {
		_, y := at(point{highest, p.limit})
		fmt.Fprintf(&out, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#888888" stroke-dasharray="6 4"/>`+"\n", left, y, width-right, y)
		text(&out, left+6, y-5, "start", p.limitName)
	}
	for i, l := range p.lines {
		l.draw(&out, colours[i%len(colours)], at)
		text(&out, left+float64(i)*200, height-8, "start", l.name, `fill="`+colours[i%len(colours)]+`"`)
	}
	return out.String() + "</svg>\n"
}

// bounds are the ends of the axes: the vertical one begins at 0 and ends at a round
// number.
func (p plot) bounds() (lowest, highest, tallest float64) {
	lowest, tallest = math.Inf(1), p.limit
	for _, l := range p.lines {
		for _, q := range l.points {
			lowest, highest, tallest = min(lowest, q.x), max(highest, q.x), max(tallest, q.y)
		}
	}
	step := math.Pow(10, math.Floor(math.Log10(max(tallest, 1))))
	return lowest, highest, math.Ceil(tallest*1.05/step*2) * step / 2
}

func (l line) draw(out *strings.Builder, colour string, at func(point) (float64, float64)) {
	var path []string
	for _, q := range l.points {
		x, y := at(q)
		path = append(path, fmt.Sprintf("%.1f,%.1f", x, y))
		fmt.Fprintf(out, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`+"\n", x, y, colour)
		text(out, x, y-8, "middle", number(q.y))
	}
	fmt.Fprintf(out, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(path, " "), colour)
}

// text writes a label; the texts are our own and hold nothing to escape.
func text(out *strings.Builder, x, y float64, anchor, label string, attributes ...string) {
	fmt.Fprintf(out, `<text x="%.1f" y="%.1f" text-anchor="%s" %s>%s</text>`+"\n", x, y, anchor, strings.Join(attributes, " "), label)
}
