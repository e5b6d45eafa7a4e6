-- The number of rows of each clean table, as analysts see it
-- tables: names of the tables of database sakila
{% for table in tables %}
    select
        '{{ table }}' as table_name,
        count(*) as row_count
    from sakila.{{ table }}
    {{ "" if loop.last else "union all" }}
{% endfor %}
