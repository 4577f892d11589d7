// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"flag"
	"fmt"
	"html"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var picture = flag.String("picture", "", "file to draw the dashboard into, from what TestDashboardAndAlertsOnARealPrometheus measures")

// The size of a cell of the dashboard's grid, in pixels, and what is drawn.
const (
	cellWidth, cellHeight = 50.0, 34.0
	legendWidth           = 190.0
	shownFor              = time.Minute
)

var colours = []string{"#3274d9", "#e0752d", "#56a64b", "#e02f44", "#8f3bb8", "#b7a600", "#0f8b8d", "#7a5230", "#d683ce", "#6c757d"}

// canvas is a picture that is being drawn.
type canvas struct{ strings.Builder }

func (c *canvas) rect(x, y, w, h float64, fill string) {
	fmt.Fprintf(c, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=%q/>\n", x, y, max(w, 0), h, fill)
}

func (c *canvas) text(x, y float64, size int, anchor, text string) {
	fmt.Fprintf(c, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%d\" text-anchor=%q>%s</text>\n", x, y, size, anchor, html.EscapeString(text))
}

// draw draws a dashboard as SVG, each panel where the grid has it.
func (p *prometheus) draw(d dashboard) string {
	p.t.Helper()
	height := 0.0
	for _, panel := range d.Panels {
		height = max(height, (panel.GridPos.Y+panel.GridPos.H)*cellHeight)
	}
	c := &canvas{}
	fmt.Fprintf(c, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\" font-size=\"11\">\n", 24*cellWidth, height)
	c.rect(0, 0, 24*cellWidth, height, "#f4f5f5")
	for _, panel := range d.Panels {
		x, y := panel.GridPos.X*cellWidth, panel.GridPos.Y*cellHeight
		w, h := panel.GridPos.W*cellWidth, panel.GridPos.H*cellHeight
		if panel.Type == "row" {
			c.text(x+8, y+22, 14, "start", panel.Title)
			continue
		}
		c.rect(x+3, y+3, w-6, h-6, "white")
		c.text(x+10, y+18, 12, "start", panel.Title)
		x, y, w, h = x+12, y+28, w-24, h-40 // what is left for the data
		switch panel.Type {
		case "timeseries":
			p.drawLines(c, panel, x, y, w, h)
		case "table":
			p.drawTable(c, panel, x, y, w, h)
		default:
			p.drawBars(c, panel, x, y, w, h)
		}
	}
	return c.String() + "</svg>\n"
}

var legendLabel = regexp.MustCompile(`\{\{(\w+)\}\}`)

// legend names a series as Grafana would.
func legend(format string, labels map[string]string) string {
	return legendLabel.ReplaceAllStringFunc(format, func(match string) string { return labels[strings.Trim(match, "{}")] })
}

// evaluate returns what a query has now, or over the time that is shown.
func (p *prometheus) evaluate(path, expr string) []sample {
	p.t.Helper()
	query := url.Values{"query": {expr}}
	if path == "query_range" {
		now := time.Now()
		query["start"], query["end"] = []string{strconv.FormatInt(now.Add(-shownFor).Unix(), 10)}, []string{strconv.FormatInt(now.Unix(), 10)}
		query["step"] = []string{"1"}
	}
	data, problem := ask[struct{ Result []sample }](p, path, query)
	if problem != "" {
		p.t.Fatalf("%s\n%s", problem, expr)
	}
	return data.Result
}

// drawBars draws one number large, and several as bars.
func (p *prometheus) drawBars(c *canvas, panel panel, x, y, w, h float64) {
	type bar struct {
		name  string
		value float64
	}
	var bars []bar
	for _, target := range panel.Targets {
		for _, s := range p.evaluate("query", target.Expr) {
			bars = append(bars, bar{legend(target.LegendFormat, s.Metric), s.Value.value()})
		}
	}
	if panel.Type == "stat" && len(bars) > 0 {
		c.text(x+w/2, y+h/2+10, 26, "middle", strings.TrimSpace(bars[0].name+" "+withUnit(bars[0].value, panel.FieldConfig.Defaults.Unit)))
		return
	}
	longest := 1.0
	for _, b := range bars {
		longest = max(longest, b.value)
	}
	each := min(h/float64(max(len(bars), 1)), 26)
	for i, b := range bars {
		top := y + float64(i)*each
		c.text(x+140, top+each/2+4, 11, "end", b.name)
		c.rect(x+148, top+3, (w-200)*b.value/longest, each-6, colours[i%len(colours)])
		c.text(x+154+(w-200)*b.value/longest, top+each/2+4, 11, "start", withUnit(b.value, panel.FieldConfig.Defaults.Unit))
	}
}

// drawLines draws series over time, beside their last values.
func (p *prometheus) drawLines(c *canvas, panel panel, x, y, w, h float64) {
	type curve struct {
		name   string
		points []point
	}
	var curves []curve
	lowest, highest := 0.0, math.SmallestNonzeroFloat64
	for _, target := range panel.Targets {
		for _, s := range p.evaluate("query_range", target.Expr) {
			curves = append(curves, curve{legend(target.LegendFormat, s.Metric), s.Values})
			for _, q := range s.Values {
				if v := q.value(); !math.IsNaN(v) {
					lowest, highest = min(lowest, v), max(highest, v)
				}
			}
		}
	}
	begin, plot := float64(time.Now().Add(-shownFor).Unix()), w-legendWidth-50
	for i := range 3 {
		value := lowest + (highest-lowest)*float64(i)/2
		level := y + h - h*float64(i)/2
		c.rect(x+50, level, plot, 1, "#dddddd")
		c.text(x+44, level+4, 10, "end", withUnit(value, panel.FieldConfig.Defaults.Unit))
	}
	for i, curve := range curves {
		colour, path, last, pen := colours[i%len(colours)], "", math.NaN(), "M"
		for _, q := range curve.points {
			seconds, _ := q[0].(float64)
			last = q.value()
			if math.IsNaN(last) {
				pen = "M"
				continue
			}
			path += fmt.Sprintf("%s%.1f %.1f", pen, x+50+plot*min(max((seconds-begin)/shownFor.Seconds(), 0), 1), y+h-h*(last-lowest)/(highest-lowest))
			pen = "L"
		}
		fmt.Fprintf(c, "<path d=%q fill=\"none\" stroke=%q stroke-width=\"1.5\"/>\n", path, colour)
		if float64(i+1)*14 <= h {
			c.rect(x+w-legendWidth+10, y+float64(i)*14+2, 9, 9, colour)
			c.text(x+w-legendWidth+24, y+float64(i)*14+10, 10, "start", shorten(curve.name, 24)+"  "+withUnit(last, panel.FieldConfig.Defaults.Unit))
		}
	}
}

// drawTable draws the rows that several queries have in common.
func (p *prometheus) drawTable(c *canvas, panel panel, x, y, w, h float64) {
	rows := map[string][]string{}
	var names []string
	for i, target := range panel.Targets {
		for _, s := range p.evaluate("query", target.Expr) {
			key := s.Metric["namespace"] + " " + s.Metric["name"]
			if s.Metric["name"] == "" && s.Metric["namespace"] == "" {
				key = strings.Join([]string{s.Metric["service"], s.Metric["action"], s.Metric["outcome"], s.Metric["code"]}, " ")
			}
			if rows[key] == nil {
				rows[key] = make([]string, len(panel.Targets))
				names = append(names, key)
			}
			rows[key][i] = strings.TrimSpace(cell(s.Value.value()) + " " + s.Metric["reason"])
		}
	}
	slices.Sort(names)
	first := 0.3 * w
	if len(panel.Targets) == 1 {
		first = 0.8 * w
	}
	column := (w - first) / float64(len(panel.Targets))
	for j, target := range panel.Targets {
		c.text(x+first+float64(j)*column, y+8, 10, "start", panel.column(target.RefID))
	}
	for i, name := range names {
		line := y + float64(i)*16 + 28
		if line > y+h {
			break
		}
		c.text(x, line, 11, "start", shorten(name, int(first/6)))
		for j, text := range rows[name] {
			c.text(x+first+float64(j)*column, line, 11, "start", shorten(text, int(column/6)))
		}
	}
}

// column is the name of a query's column.
func (p panel) column(query string) string {
	for _, transformation := range p.Transformations {
		if name := transformation.Options.RenameByName["Value #"+query]; name != "" {
			return name
		}
	}
	return "Value"
}

// cell writes a value of a table; those of the dashboard's that are large are milliseconds
// since 1970.
func cell(v float64) string {
	if v > 1e11 {
		return time.UnixMilli(int64(v)).UTC().Format("2006-01-02")
	}
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

// withUnit writes a value as Grafana would, about.
func withUnit(v float64, unit string) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case unit == "s" && math.Abs(v) >= 2*86400:
		return fmt.Sprintf("%.0f days", v/86400)
	case unit == "s" && math.Abs(v) >= 2*3600:
		return fmt.Sprintf("%.0f h", v/3600)
	case unit == "s" && math.Abs(v) >= 120:
		return fmt.Sprintf("%.0f min", v/60)
	case unit == "s" && math.Abs(v) < 1 && v != 0:
		return fmt.Sprintf("%.0f ms", v*1000)
	case unit == "s":
		return fmt.Sprintf("%.1f s", v)
	case unit == "reqps":
		return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64) + "/s"
	}
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

func shorten(text string, length int) string {
	if runes := []rune(text); len(runes) > length {
		return string(runes[:length-1]) + "…"
	}
	return text
}
